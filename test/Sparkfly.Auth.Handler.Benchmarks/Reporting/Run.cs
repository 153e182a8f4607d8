using System.Diagnostics;
using System.Globalization;
using BenchmarkDotNet.Environments;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>How thoroughly to measure: in full, or just enough to see that everything works.</summary>
internal enum Effort
{
    Full,
    Quick,
}

/// <summary>One run of the benchmarks: what every page says about where its figures come from.</summary>
internal sealed class Run
{
    public Run(Effort effort)
    {
        Effort = effort;
        Root = FindRoot();

        // Figures of a quick run are noise, and are kept away from the documentation.
        Folder = effort == Effort.Full ? Path.Combine(Root, "docs", "performance") : Path.Combine(Root, "artifacts", "performance");
        string changes = Git("status", "--porcelain", "--", "src", "test", "Directory.Packages.props");
        Description =
            $"{DateTimeOffset.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)} UTC, commit {Git("rev-parse", "--short=10", "HEAD")}" +
            $"{(changes.Length > 0 ? " with uncommitted changes" : "")}{(effort == Effort.Quick ? ", a quick run whose figures say nothing" : "")}";
        Machine = string.Join('\n', HostEnvironmentInfo.GetCurrent().ToFormattedString());
    }

    public Effort Effort { get; }

    /// <summary>The folder of the solution.</summary>
    public string Root { get; }

    /// <summary>Where pages and plots go.</summary>
    public string Folder { get; }

    /// <summary>When, and of which commit.</summary>
    public string Description { get; }

    /// <summary>Processor, system, runtime.</summary>
    public string Machine { get; }

    /// <summary>The number for this effort.</summary>
    public int Times(int full, int quick) => Effort == Effort.Full ? full : quick;

    private string Git(params string[] arguments)
    {
        using Process git = Process.Start(new ProcessStartInfo("git", arguments) { WorkingDirectory = Root, RedirectStandardOutput = true })!;
        string output = git.StandardOutput.ReadToEnd().Trim();
        git.WaitForExit();
        return output;
    }

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Sparkfly.Auth.Handler.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("The benchmarks do not run inside the repository.");
    }
}
