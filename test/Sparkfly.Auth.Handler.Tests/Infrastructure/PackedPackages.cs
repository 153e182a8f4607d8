using System.IO.Compression;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// The packages of this repository, packed once for all tests into a folder of their own, which is a NuGet feed; nothing in the repository is
/// written to.
/// </summary>
internal static class PackedPackages
{
    /// <summary>The address of the repository, as a clone's remote gives it.</summary>
    public const string RepositoryUrl = "https://example.com/owner/sparkfly-auth-handler.git";

    // No cache holds this version.
    public static readonly string Version = $"0.0.0-test{Guid.NewGuid():N}";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    private static readonly Lazy<string> s_folder = new(static () => Directory.CreateTempSubdirectory("sparkfly-packages-").FullName);
    private static readonly Lazy<Task> s_packed = new(PackAsync);

    /// <summary>The ids of the projects under src, each of which is a package.</summary>
    public static string[] Ids { get; } = [.. Projects.Select(static p => Path.GetFileNameWithoutExtension(p))];

    private static IEnumerable<string> Projects => Directory.EnumerateFiles(Path.Combine(Document.Root, "src"), "*.csproj", SearchOption.AllDirectories)
        .Order(StringComparer.Ordinal);

    private static string Feed => Path.Combine(s_folder.Value, "feed");

    public static async Task<ZipArchive> OpenAsync(string id, string extension)
    {
        await s_packed.Value;
        return await ZipFile.OpenReadAsync(Path.Combine(Feed, $"{id}.{Version}.{extension}"));
    }

    /// <summary>A new folder for an application that installs the packages.</summary>
    public static async Task<string> NewFolderAsync(string name)
    {
        await s_packed.Value;
        return Directory.CreateDirectory(Path.Combine(s_folder.Value, name)).FullName;
    }

    public static void Delete()
    {
        if (s_folder.IsValueCreated)
        {
            Directory.Delete(s_folder.Value, recursive: true);
        }
    }

    /// <summary>Runs the .NET SDK, with the feed beside the machine's own sources; its output, which must be that of a success.</summary>
    public static async Task<string> DotNetAsync(params string[] arguments)
    {
        (int exitCode, string output) = await TryDotNetAsync(arguments);
        Assert.That(exitCode, Is.Zero, () => $"dotnet {string.Join(' ', arguments)}\n{output}");
        return output;
    }

    /// <summary>Runs the .NET SDK, with the feed beside the machine's own sources; its exit code and output.</summary>
    public static async Task<(int ExitCode, string Output)> TryDotNetAsync(params string[] arguments)
    {
        string installed = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ??
            Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        await using Subprocess process = Subprocess.DotNet(
            arguments,
            ("RestoreAdditionalProjectSources", Directory.CreateDirectory(Feed).FullName),

            // Nothing is put into the machine's own folder of packages, and what is there is not fetched again.
            ("NUGET_PACKAGES", Path.Combine(s_folder.Value, "installed")),
            ("RestoreFallbackFolders", Directory.CreateDirectory(installed).FullName),

            // The environment of the tests may turn builds off.
            ("VSTestNoBuild", "false"),

            // Nothing that is started here goes on after its end. A compiler that has an id belongs to who has started the tests.
            ("MSBUILDDISABLENODEREUSE", "1"),
            ("DOTNET_CLI_USE_MSBUILD_SERVER", "0"),
            ("UseSharedCompilation", Environment.GetEnvironmentVariable("SharedCompilationId") is null ? "false" : "true"));
        string output = await process.ReadToEndAsync(s_patience);
        return (await process.EndAsync(), $"{output}\n{process.Errors}");
    }

    private static async Task PackAsync()
    {
        string solution = Path.Combine(s_folder.Value, "Packages.slnx");
        await File.WriteAllTextAsync(solution, $"<Solution>{string.Concat(Projects.Select(static p => $"""<Project Path="{p}" />"""))}</Solution>");
        await DotNetAsync(
            "pack",
            solution,
            "--artifacts-path",
            Path.Combine(s_folder.Value, "artifacts"),
            $"-p:PackageOutputPath={Feed}",
            $"-p:Version={Version}",
            $"-p:RepositoryUrl={RepositoryUrl}",
            "-p:ContinuousIntegrationBuild=true",

            // The build of the repository analyzes them.
            "-p:RunAnalyzers=false");
    }
}
