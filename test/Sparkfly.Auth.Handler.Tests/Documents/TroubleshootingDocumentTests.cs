using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/troubleshooting.md has each message that the packages can give, and no other.</summary>
/// <remarks>
/// A message is what stands in the sources and has words, wherever it is said: as an exception, as a failure that becomes one, as a reason in the
/// log, as a description of health. On the page it stands as code, with … for what varies or is left out. The page also has the messages of the
/// platform that tests of this project provoke.
/// </remarks>
public partial class TroubleshootingDocumentTests
{
    // Enough to know a message by, and to search a page for; more, where another begins alike.
    private const int FirstWords = 4;

    private static readonly string[] s_quotes = Quotes(string.Join('\n', Markdown.Prose("docs/troubleshooting.md").Select(static l => l.Line)));

    /// <summary>What may stand together in a message: the sources' texts, those of the log among them, cut where something is put in.</summary>
    private static readonly string[] s_pieces = [.. SourceText.All
        .SelectMany(static t => t.Expression.FirstAncestorOrSelf<AttributeSyntax>() is null ? t.Pieces : t.Pieces.SelectMany(p => LogParameter().Split(p)))
        .Where(static p => p.Length > 0)
        .Concat(PlatformMessagesTests.All)
        .Distinct()];

    [Test]
    public void The_page_has_every_message_by_its_first_words()
    {
        SourceText[] messages = [.. SourceText.All.Where(IsMessage)];

        Assert.That(messages, Has.Length.GreaterThan(50), "or the sources are not read well");
        string[] beginnings = [.. messages.Select(m => Beginning(m, messages)).Distinct()];
        Assert.That(messages.Where(m => !s_quotes.Any(q => q.Contains(Mark(Beginning(m, messages), beginnings), StringComparison.Ordinal))), Is.Empty);
    }

    [Test]
    public void Every_message_on_the_page_is_in_the_sources()
    {
        Assert.That(s_quotes, Has.Length.GreaterThan(50), "or the page is not read well");
        Assert.That(s_quotes.Where(static q => !IsSaid(q)), Is.Empty);
    }

    [TestCase("Sparkfly Key is required.", true, TestName = "Pieces that are put together")]
    [TestCase("POST … was answered 401 (Unauthorized): \"Invalid credentials\". The credentials were rejected, or the address is wrong, …", true, TestName = "A status as an example")]
    [TestCase("The … has no InnerHandler to …", true, TestName = "A part of a message")]
    [TestCase("The … has no InnerHandlers to …", false, TestName = "A word that is not there")]
    [TestCase("Sparkfly Key is not required.", false, TestName = "A word too many")]
    [TestCase("The Sparkfly account '…' is unknown: call …", false, TestName = "What a message said once")]
    public void A_quotation_is_known(string quote, bool isSaid) => Assert.That(IsSaid(quote), Is.EqualTo(isSaid));

    [Test]
    public void Texts_are_read_from_sources_in_all_their_forms()
    {
        string[] texts = [.. SourceText.Of("a.cs", """
            [B("attribute")]
            class A
            {
                const string C = "one " + "two";
                Exception D(int n, bool isE) => new($"{nameof(A.C)} is {n}, " + (isE ? "three" : $"four {n:c}") + ".");
            }
            """).Select(static t => t.ToString())];

        Assert.That(string.Join('|', texts), Is.EqualTo("a.cs:1: attribute|a.cs:4: one two|a.cs:5: C is …, ….|a.cs:5: three|a.cs:5: four …"));
    }

    /// <summary>Whether the text, or a part of one, has words and is for people to read who use the packages.</summary>
    private static bool IsMessage(SourceText text) =>
        text.Pieces.Any(static p => Words(p).Length > 1) &&
        !text.Expression.Ancestors().Any(static a => a switch
        {
            // Of the log, which has a page of its own, or the debugger.
            AttributeSyntax => true,

            // What an instrument is, a type shows of itself, a health check says that has nothing to complain of.
            ArgumentSyntax { NameColon.Name.Identifier.ValueText: "description" } => true,
            MethodDeclarationSyntax { Identifier.ValueText: "ToString" } => true,
            InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax { Name.Identifier.ValueText: "Healthy" } } => true,

            // What stands in the place of an address.
            MethodDeclarationSyntax { Identifier.ValueText: "Of", Parent: StructDeclarationSyntax or RecordDeclarationSyntax } => true,

            // What the fake answers in Sparkfly's stead.
            InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax { Name.Identifier.ValueText: "Error" } } => true,
            MethodDeclarationSyntax { Identifier.ValueText: "AddTraps" } => true,
            _ => false,
        });

    /// <summary>Where a message begins to say something, and if it can, something that no other message says: several begin with "The request to".</summary>
    private static string Beginning(SourceText message, SourceText[] all)
    {
        string[] pieces = [.. message.Pieces.Where(static p => Words(p).Length > 2)];
        string beginning = pieces.FirstOrDefault(p => !all.Any(m => m != message && m.Pieces.Contains(p))) ??
            pieces.FirstOrDefault() ??
            message.Pieces.MaxBy(static p => Words(p).Length)!;
        return beginning.Trim(' ', '.', '\'', ':');
    }

    /// <summary>The first words, as many as it takes to tell one message from the others.</summary>
    private static string Mark(string beginning, string[] all)
    {
        string[] words = beginning.Split(' ');
        int count = Math.Min(words.Length, FirstWords);
        while (count < words.Length && all.Any(b => b != beginning && b.StartsWith(string.Join(' ', words[..count]), StringComparison.Ordinal)))
        {
            count++;
        }

        return string.Join(' ', words[..count]);
    }

    private static string[] Words(string text) => [.. text.Split(' ').Where(static w => w.Any(char.IsLetter))];

    /// <summary>The page's code that has words, and so is a message.</summary>
    private static string[] Quotes(string page) =>
        [.. CodeSpan().Matches(page).Select(static m => m.Groups[1].Value.Replace('\n', ' ')).Where(static q => Words(q).Length > 2)];

    private static bool IsSaid(string quote) => Status().Replace(quote, "…").Split('…').All(IsPutTogether);

    /// <summary>Whether this is a part of a piece; or the end of one, with whole ones after it, and the beginning of another.</summary>
    private static bool IsPutTogether(string part) =>
        s_pieces.Any(p => p.Contains(part, StringComparison.Ordinal)) ||
        s_pieces.Any(p => LongestOverlap(p, part) is > 0 and var length && GoesOn(part[length..]));

    private static bool GoesOn(string rest) =>
        s_pieces.Any(p => p.StartsWith(rest, StringComparison.Ordinal) || (rest.StartsWith(p, StringComparison.Ordinal) && GoesOn(rest[p.Length..])));

    /// <summary>How much of a piece's end the part begins with.</summary>
    private static int LongestOverlap(string piece, string part)
    {
        int length = Math.Min(piece.Length, part.Length);
        while (!piece.EndsWith(part[..length], StringComparison.Ordinal))
        {
            length--;
        }

        return length;
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex CodeSpan();

    /// <summary>A status as an example of all.</summary>
    [GeneratedRegex(@"\d{3} \(\w+\)")]
    private static partial Regex Status();

    [GeneratedRegex(@"\{\w+(?::\w)?\}")]
    private static partial Regex LogParameter();
}
