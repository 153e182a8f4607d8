namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Garnet, a server that speaks Redis and comes as a .NET tool, so that the tests need only the SDK.</summary>
internal static class Garnet
{
    private static readonly Lazy<Task> s_restored = new(RestoreAsync);

    public static async Task<CacheServer> StartAsync()
    {
        await s_restored.Value;
        return await CacheServer.StartAsync("Garnet", static port => Subprocess.DotNet([
            "tool", "run", "garnet-server", "--",
            "--bind", "127.0.0.1", "--port", $"{port}", "--memory", "64m", "--page", "16m", "--index", "16m"]));
    }

    // Nothing is downloaded where it has been restored before.
    private static async Task RestoreAsync()
    {
        await using Subprocess restore = Subprocess.DotNet(["tool", "restore"]);
        Assert.That(await restore.EndAsync(), Is.Zero, () => $"Garnet, a .NET tool, could not be restored: {restore.Errors}");
    }
}
