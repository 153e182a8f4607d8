using System.Net;
using System.Net.Sockets;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A Redis on a loopback port: Garnet, which comes as a .NET tool, so that the tests need nothing but the SDK.</summary>
internal sealed class Garnet : ICacheServer
{
    private static readonly Lazy<Task> s_restored = new(RestoreAsync);

    private Subprocess? _process;

    public int Port { get; private set; }

    /// <summary>As a client of Redis takes it.</summary>
    public string Address => $"127.0.0.1:{Port}";

    /// <summary>Starts one; it accepts connections when the task is complete.</summary>
    public static async Task<Garnet> StartAsync()
    {
        await s_restored.Value;
        var garnet = new Garnet();
        for (int attemptsLeft = 4; attemptsLeft > 0; attemptsLeft--)
        {
            // Somebody else may be quicker to take it.
            garnet.Port = FreePort();
            if (await garnet.TryListenAsync())
            {
                return garnet;
            }
        }

        throw new AssertionException("Garnet does not start.");
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
    public async Task RestartAsync() => Assert.That(await TryListenAsync(), "Garnet does not come back.");

    public async ValueTask DisposeAsync() => await KillAsync();

    // Nothing is downloaded where it has been restored before.
    private static async Task RestoreAsync()
    {
        await using Subprocess restore = Subprocess.DotNet(["tool", "restore"]);
        Assert.That(await restore.EndAsync(), Is.Zero, () => $"Garnet, a .NET tool, could not be restored: {restore.Errors}");
    }

    public static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private async Task<bool> TryListenAsync()
    {
        _process = Subprocess.DotNet([
            "tool", "run", "garnet-server", "--",
            "--bind", "127.0.0.1", "--port", $"{Port}", "--memory", "64m", "--page", "16m", "--index", "16m"]);
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
