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
        var server = new RedisServer();
        for (int attemptsLeft = 4; attemptsLeft > 0; attemptsLeft--)
        {
            // Somebody else may be quicker to take it.
            server.Port = Garnet.FreePort();
            if (await server.TryListenAsync())
            {
                return server;
            }
        }

        throw new AssertionException("redis-server does not start.");
    }

    public async Task KillAsync()
    {
        if (Interlocked.Exchange(ref _process, null) is { } process)
        {
            await process.KillAsync();
            await process.DisposeAsync();
        }
    }

    public async Task RestartAsync() => Assert.That(await TryListenAsync(), "redis-server does not come back.");

    public async ValueTask DisposeAsync() => await KillAsync();

    private async Task<bool> TryListenAsync()
    {
        _process = Subprocess.Start(Program!, ["--bind", "127.0.0.1", "--port", $"{Port}", "--save", "", "--appendonly", "no"]);
        bool isListening = false;
        try
        {
            return isListening = await _process.ReadUntilAsync("Ready to accept connections");
        }
        finally
        {
            if (!isListening)
            {
                await KillAsync();
            }
        }
    }
}
