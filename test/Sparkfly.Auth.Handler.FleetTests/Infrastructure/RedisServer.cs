namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A <c>redis-server</c>, where one is installed.</summary>
internal static class RedisServer
{
    /// <summary>Where the program is; null where it is not installed.</summary>
    public static string? Program { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(static d => Path.Combine(d, "redis-server")).FirstOrDefault(File.Exists);

    public static Task<CacheServer> StartAsync() => CacheServer.StartAsync("redis-server", static port => Subprocess.Start(
        Program!, ["--bind", "127.0.0.1", "--port", $"{port}", "--save", "", "--appendonly", "no"]));
}
