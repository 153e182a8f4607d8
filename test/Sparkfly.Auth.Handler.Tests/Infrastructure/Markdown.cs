namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A fenced block of a page: <paramref name="Line"/> is the number of its first line of code, counted from one.</summary>
internal sealed record CodeBlock(string Page, int Line, string Language, string Text);

/// <summary>The pages that people read: what stands at the root of the repository, all under docs, and what packages show.</summary>
internal static class Markdown
{
    /// <summary>The pages' paths from the root of the repository, README.md first.</summary>
    public static string[] Pages { get; } =
    [
        "README.md",
        .. Find(Document.Root, SearchOption.TopDirectoryOnly).Where(static p => p != "README.md"),
        .. Find(Path.Combine(Document.Root, "docs"), SearchOption.AllDirectories),
        .. Find(Path.Combine(Document.Root, "src"), SearchOption.AllDirectories),
    ];

    /// <summary>A page's lines outside of fenced blocks, with their numbers.</summary>
    public static IEnumerable<(int Number, string Line)> Prose(string page)
    {
        bool isInside = false;
        foreach ((int index, string line) in Document.Lines(page).Index())
        {
            bool isFence = IsFence(line);
            if (!isFence && !isInside)
            {
                yield return (index + 1, line);
            }

            isInside ^= isFence;
        }
    }

    /// <summary>The fenced blocks of one language, in the page's order.</summary>
    public static IEnumerable<CodeBlock> Blocks(string page, string language)
    {
        string[] lines = Document.Lines(page);
        for (int i = 0; i < lines.Length; i++)
        {
            if (IsFence(lines[i]))
            {
                // A block in a list is indented, and its lines with it.
                int indent = lines[i].IndexOf('`', StringComparison.Ordinal);
                int end = Array.FindIndex(lines, i + 1, IsFence);
                Assert.That(end, Is.GreaterThan(i), $"{page}:{i + 1}: this block has no end.");
                if (lines[i].Trim() == "```" + language)
                {
                    yield return new CodeBlock(
                        page, i + 2, language, string.Join('\n', lines[(i + 1)..end].Select(line => line.Length > indent ? line[indent..] : "")));
                }

                i = end;
            }
        }
    }

    private static bool IsFence(string line) => line.TrimStart().StartsWith("```", StringComparison.Ordinal);

    private static IEnumerable<string> Find(string folder, SearchOption option) => Directory.EnumerateFiles(folder, "*.md", option)
        .Select(static p => Path.GetRelativePath(Document.Root, p).Replace('\\', '/'))
        .Where(static p => !p.Split('/').Any(static part => part is "bin" or "obj"))
        .Order(StringComparer.Ordinal);
}
