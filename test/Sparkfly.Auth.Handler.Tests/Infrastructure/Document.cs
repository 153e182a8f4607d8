namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A file of the repository, to be compared with what the tests do.</summary>
internal static class Document
{
    public static string[] Lines(string path)
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Sparkfly.Auth.Handler.sln")))
        {
            folder = folder.Parent;
        }

        return File.ReadAllLines(Path.Combine(folder?.FullName ?? throw new InvalidOperationException("The tests do not run inside the repository."), path));
    }
}
