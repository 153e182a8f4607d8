using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A text that stands in a source file, put together where it is a sum: <paramref name="Pieces"/> are what is written there, between them stands
/// what is not known before it runs.
/// </summary>
internal sealed record SourceText(string Place, string[] Pieces, ExpressionSyntax Expression)
{
    /// <summary>The texts of the packages, in all files under src.</summary>
    public static SourceText[] All { get; } = [.. Directory.EnumerateFiles(Path.Combine(Document.Root, "src"), "*.cs", SearchOption.AllDirectories)
        .Select(static p => Path.GetRelativePath(Document.Root, p).Replace('\\', '/'))
        .Where(static p => !p.Split('/').Any(static part => part is "bin" or "obj"))
        .Order(StringComparer.Ordinal)
        .SelectMany(static p => Of(p, string.Join('\n', Document.Lines(p))))];

    /// <summary>The texts of one file.</summary>
    public static IEnumerable<SourceText> Of(string path, string source) =>
        CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.Latest))
            .GetRoot()
            .DescendantNodes()
            .OfType<ExpressionSyntax>()
            .Where(static e => IsText(e) && !IsPart(e))
            .Select(e => new SourceText($"{path}:{e.GetLocation().GetLineSpan().StartLinePosition.Line + 1}", PiecesOf(e), e));

    /// <summary>As a page shows it.</summary>
    public override string ToString() => $"{Place}: {string.Join('…', Pieces)}";

    private static bool IsText(ExpressionSyntax expression) => expression switch
    {
        LiteralExpressionSyntax literal => literal.IsKind(SyntaxKind.StringLiteralExpression),
        InterpolatedStringExpressionSyntax => true,
        BinaryExpressionSyntax sum => sum.IsKind(SyntaxKind.AddExpression) && (IsText(sum.Left) || IsText(sum.Right)),
        _ => NameOf(expression) is not null,
    };

    private static bool IsPart(ExpressionSyntax expression) =>
        expression.Parent is BinaryExpressionSyntax sum && IsText(sum) ||
        expression.Parent is InterpolationSyntax && NameOf(expression) is not null;

    private static string[] PiecesOf(ExpressionSyntax expression)
    {
        List<string> pieces = [""];
        Append(expression);
        return [.. pieces];

        void Append(ExpressionSyntax part)
        {
            switch (part)
            {
                case LiteralExpressionSyntax literal when IsText(literal):
                    pieces[^1] += literal.Token.ValueText;
                    break;
                case BinaryExpressionSyntax sum when IsText(sum):
                    Append(sum.Left);
                    Append(sum.Right);
                    break;
                case InterpolatedStringExpressionSyntax interpolated:
                    foreach (InterpolatedStringContentSyntax content in interpolated.Contents)
                    {
                        if (content is InterpolatedStringTextSyntax text)
                        {
                            pieces[^1] += text.TextToken.ValueText;
                        }
                        else
                        {
                            Append(((InterpolationSyntax)content).Expression);
                        }
                    }

                    break;
                case var _ when NameOf(part) is { } name:
                    pieces[^1] += name;
                    break;
                default:
                    pieces.Add("");
                    break;
            }
        }
    }

    private static string? NameOf(ExpressionSyntax expression) =>
        expression is InvocationExpressionSyntax { Expression: IdentifierNameSyntax { Identifier.ValueText: "nameof" }, ArgumentList.Arguments: [var argument] }
            ? argument.Expression switch
            {
                MemberAccessExpressionSyntax member => member.Name.Identifier.ValueText,
                SimpleNameSyntax name => name.Identifier.ValueText,
                _ => null,
            }
            : null;
}
