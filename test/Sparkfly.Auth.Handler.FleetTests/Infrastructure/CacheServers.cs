using System.Net;
using System.Net.Sockets;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The servers that speak Redis on this machine.</summary>
internal static class CacheServers
{
    private const string OfTheTests = "Garnet";

    /// <summary>Garnet, which comes with the tests, and redis-server where it is installed.</summary>
    public static string[] Names { get; } = RedisServer.Program is null ? [OfTheTests] : [OfTheTests, "redis-server"];

    public static Task<CacheServer> StartAsync(string name) => name == OfTheTests ? Garnet.StartAsync() : RedisServer.StartAsync();
}

/// <summary>A server that speaks Redis, on a loopback port.</summary>
/// <param name="name">Its name, for messages.</param>
/// <param name="start">Starts its process at a port.</param>
internal sealed class CacheServer(string name, Func<int, Subprocess> start) : IAsyncDisposable
{
    private Subprocess? _process;

    public int Port { get; private set; }

    /// <summary>As a client of Redis takes it.</summary>
    public string Address => $"127.0.0.1:{Port}";

    /// <summary>Starts one; it accepts connections when the task is complete.</summary>
    public static async Task<CacheServer> StartAsync(string name, Func<int, Subprocess> start)
    {
        var server = new CacheServer(name, start);
        for (int attemptsLeft = 4; attemptsLeft > 0; attemptsLeft--)
        {
            // Another process may take the port first.
            server.Port = FreePort();
            if (await server.TryListenAsync())
            {
                return server;
            }
        }

        throw new AssertionException($"{name} does not start.");
    }

    public static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    /// <summary>Ends it as a crash does.</summary>
    public async Task KillAsync()
    {
        if (Interlocked.Exchange(ref _process, null) is { } process)
        {
            await process.KillAsync();
            await process.DisposeAsync();
        }
    }

    /// <summary>Brings it back after <see cref="KillAsync"/>, at the same address and empty.</summary>
    public async Task RestartAsync() => Assert.That(await TryListenAsync(), $"{name} does not come back.");

    public async ValueTask DisposeAsync() => await KillAsync();

    private async Task<bool> TryListenAsync()
    {
        _process = start(Port);
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
