namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A <c>redis-server</c> on a loopback port, where one is installed.</summary>
internal sealed class RedisServer : ICacheServer
{
    private Subprocess? _process;

    /// <summary>Where the program is; null where it is not installed.</summary>
    public static string? Program { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(static d => Path.Combine(d, "redis-server")).FirstOrDefault(File.Exists);

    public int Port { get; private set; }

    public string Address => $"127.0.0.1:{Port}";

    public static async Task<RedisServer> StartAsync()
    {
        var server = new RedisServer { Port = Garnet.FreePort() };
        await server.RestartAsync();
        return server;
    }

    public async Task KillAsync()
    {
        if (Interlocked.Exchange(ref _process, null) is { } process)
        {
            await process.KillAsync();
            await process.DisposeAsync();
        }
    }

    public async Task RestartAsync()
    {
        _process = Subprocess.Start(Program!, ["--bind", "127.0.0.1", "--port", $"{Port}", "--save", "", "--appendonly", "no"]);
        Assert.That(await _process.ReadUntilAsync("Ready to accept connections"), "redis-server does not start.");
    }

    public async ValueTask DisposeAsync() => await KillAsync();
}

/// <summary>A server that speaks Redis.</summary>
internal interface ICacheServer : IAsyncDisposable
{
    string Address { get; }

    /// <summary>Ends it as a crash does.</summary>
    Task KillAsync();

    /// <summary>Brings it back at the same address, and empty.</summary>
    Task RestartAsync();
}
