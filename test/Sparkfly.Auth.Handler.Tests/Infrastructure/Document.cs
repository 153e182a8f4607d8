namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A file of the repository, to be compared with what the tests do.</summary>
internal static class Document
{
    /// <summary>The folder of the solution.</summary>
    public static string Root { get; } = FindRoot();

    public static string[] Lines(string path) => File.ReadAllLines(Path.Combine(Root, path));

    /// <summary>What a source file has between <c>// &lt;name&gt;</c> and <c>// &lt;/name&gt;</c>, from the margin, as a page shows it.</summary>
    public static string Snippet(string path, string name)
    {
        string[] lines = Lines(path);
        int start = Array.FindIndex(lines, line => line.Trim() == $"// <{name}>");
        int end = Array.FindIndex(lines, line => line.Trim() == $"// </{name}>");
        int indent = lines[start].Length - lines[start].TrimStart().Length;
        return string.Join('\n', lines[(start + 1)..end].Select(line => line.Length > indent ? line[indent..] : line));
    }

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Sparkfly.Auth.Handler.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("The tests do not run inside the repository.");
    }
}
