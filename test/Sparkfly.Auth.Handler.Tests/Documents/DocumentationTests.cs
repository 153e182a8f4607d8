using System.Net;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What the pages show is true: their C# compiles, their settings are settings, their links lead somewhere.</summary>
public partial class DocumentationTests
{
    private static string[] Pages => Markdown.Pages;

    private static IEnumerable<string> Options => typeof(SparkflyAuthOptions).GetProperties().Select(static p => p.Name);

    // Those for test frameworks that this project does not have are built in projects of their own.
    private static IEnumerable<object[]> Code => Pages.SelectMany(static p => Markdown.Blocks(p, "csharp"))
        .Where(static b => TestTemplate.Of(b) is null or { Name: "nunit" })
        .Select(static b => new object[] { b.Page, b.Line });

    private static IEnumerable<object[]> Json => Blocks("json");

    [TestCaseSource(nameof(Code))]
    public void A_block_of_C_sharp_compiles(string page, int line)
    {
        CodeBlock block = Block(page, line, "csharp");

        Assert.That(PageCompiler.Problems(block, Others(block)), Is.Empty);
    }

    [Test]
    public void A_block_that_does_not_compile_is_told_by_its_place()
    {
        string[] problems = PageCompiler.Problems(
            new CodeBlock("docs/page.md", 41, "csharp", "builder.Services.AddSparkflyAuth();\nbuilder.Services.AddSparklyAuth();"), []);

        Assert.That(problems, Has.Exactly(1).StartsWith("docs/page.md:42: CS1061: ").And.Contains("AddSparklyAuth"));
    }

    [TestCase("var builder = WebApplication.CreateBuilder(args);\nservices.AddSparkflyAuth();\npublic sealed class Own;", TestName = "A Program.cs")]
    [TestCase("using System.Net;\n\n[Obsolete]\npublic HttpStatusCode Status() => HttpStatusCode.OK;", TestName = "Members of a class")]
    [TestCase("public sealed class Own(Lent lent) { public Lent Lent => lent; }", TestName = "Types")]
    [TestCase("await Task.Yield();\nnew Lent().Use();\nvoid Unused() { }", TestName = "A part of a Program.cs")]
    public void A_block_may_be(string text)
    {
        var lender = new CodeBlock("docs/page.md", 7, "csharp", "public sealed class Lent { public void Use() { } }");

        Assert.That(PageCompiler.Problems(new CodeBlock("docs/page.md", 41, "csharp", text), [lender]), Is.Empty);
    }

    /// <summary>README.md's two lines and its client, with the settings that it shows.</summary>
    [Test]
    public async Task The_code_of_README_md_does_what_README_md_says()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        CodeBlock code = Markdown.Blocks("README.md", "csharp").First(PageCompiler.IsProgram);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.Logging.AddProvider(SecretSweep.LoggerProvider());
        builder.Configuration
            .AddJsonStream(new MemoryStream(Encoding.UTF8.GetBytes(Markdown.Blocks("README.md", "json").First().Text)))
            .AddConfiguration(Configured.For(server));

        Assembly assembly = PageCompiler.Run(code, Others(code), builder);
        await using WebApplication app = builder.Build();
        object offers = app.Services.GetRequiredService(assembly.GetType("OffersClient")!);
        var call = offers.GetType().GetMethod("GetOffersAsync")!.CreateDelegate<Func<CancellationToken, Task<HttpResponseMessage>>>(offers);
        using HttpResponseMessage first = await call(CancellationToken.None);
        server.RevokeTokens();
        using HttpResponseMessage second = await call(CancellationToken.None);

        Assert.That(first.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(first.RequestMessage!.RequestUri, Is.EqualTo(new Uri(server.BaseAddress, "offers")));
        Assert.That(second.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [TestCaseSource(nameof(Json))]
    public void A_block_of_JSON_sets_options_that_there_are_to_what_they_may_be(string page, int line)
    {
        CodeBlock block = Block(page, line, "json");
        using JsonDocument json = JsonDocument.Parse(block.Text);
        IConfigurationSection section = Configured.FromJson(block.Text).GetSection(SparkflyAuthOptions.SectionName);
        foreach (IConfigurationSection account in Accounts(section))
        {
            // Each by its name, so that one which is mistyped is not passed over; what the page leaves out is somewhere else.
            IEnumerable<string> names = account.GetChildren().Where(static s => s.Value is not null).Select(static s => s.Key);
            var options = new SparkflyAuthOptions { Identity = "elsewhere", Key = "elsewhere" };
            account.Bind(options);
            ValidateOptionsResult result = Configured.NewValidator().Validate(account.Path, options);

            Assert.That(names.Except(Options), Is.Empty, $"{page}:{line}: {account.Path}");
            Assert.That(result.Failures ?? [], Is.Empty, $"{page}:{line}: {account.Path}");
        }

        static IEnumerable<IConfigurationSection> Accounts(IConfigurationSection section) =>
            section.GetChildren().Any() ? section.GetChildren().SelectMany(Accounts).Prepend(section) : [];
    }

    [TestCaseSource(nameof(Pages))]
    public void Links_within_the_repository_lead_somewhere(string page)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Document.Root, page))!;
        foreach ((int number, string line) in Markdown.Prose(page))
        {
            foreach (string target in Link().Matches(InlineCode().Replace(line, "")).Select(static m => m.Groups[1].Value)
                .Where(static t => !t.Contains(':', StringComparison.Ordinal)))
            {
                string[] parts = target.Split('#');
                string path = parts[0].Length == 0 ? Path.Combine(Document.Root, page) : Path.GetFullPath(Path.Combine(folder, parts[0]));
                Assert.That(Path.Exists(path), $"{page}:{number}: {target} leads nowhere.");
                Assert.That(
                    parts.Length == 1 || Anchors(Path.GetRelativePath(Document.Root, path)).Contains(parts[1]),
                    $"{page}:{number}: {target}: there is no such heading.");
            }
        }
    }

    [Test]
    public void Every_option_stands_in_README_md()
    {
        string table = string.Join('\n', Document.Lines("README.md").Where(static l => l.StartsWith("| `", StringComparison.Ordinal)));

        Assert.That(Options.Where(n => !table.Contains($"`{n}`", StringComparison.Ordinal)), Is.Empty);
    }

    [Test]
    public void Every_page_is_reached_from_README_md_or_from_the_page_of_its_folder()
    {
        const string samples = "docs/samples/README.md";
        Assert.That(Pages.Where(static p => p.StartsWith("docs/", StringComparison.Ordinal)).Where(static page =>
        {
            string folder = Path.GetDirectoryName(page)!;
            (string from, string link) = folder == "docs" || page == samples ? ("README.md", page)
                : page.StartsWith("docs/samples/", StringComparison.Ordinal) ? (samples, page["docs/samples/".Length..])
                : ($"{folder}.md", page["docs/".Length..]);
            return !string.Join('\n', Document.Lines(from)).Contains($"({link}", StringComparison.Ordinal);
        }), Is.Empty);
    }

    /// <summary>The blocks whose types a block may use: those above it, the nearest first, those below it, and README.md's.</summary>
    private static CodeBlock[] Others(CodeBlock block)
    {
        CodeBlock[] page = [.. Markdown.Blocks(block.Page, "csharp").Where(b => b.Line != block.Line)];
        return
        [
            .. page.Where(b => b.Line < block.Line).Reverse(),
            .. page.Where(b => b.Line > block.Line),
            .. Markdown.Blocks("README.md", "csharp").Where(b => b != block),
        ];
    }

    private static CodeBlock Block(string page, int line, string language) => Markdown.Blocks(page, language).Single(b => b.Line == line);

    private static IEnumerable<object[]> Blocks(string language) =>
        Pages.SelectMany(p => Markdown.Blocks(p, language)).Select(static b => new object[] { b.Page, b.Line });

    /// <summary>As GitHub makes them of headings.</summary>
    private static HashSet<string> Anchors(string page)
    {
        var anchors = new HashSet<string>();
        foreach ((_, string line) in Markdown.Prose(page).Where(static l => l.Line.StartsWith('#')))
        {
            string anchor = NotInAnchor().Replace(line.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-');
            for (int n = 0; !anchors.Add(n == 0 ? anchor : $"{anchor}-{n}"); n++)
            {
            }
        }

        return anchors;
    }

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("`[^`]*`")]
    private static partial Regex InlineCode();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NotInAnchor();
}
