using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Fleet;

/// <summary>A Redis on a loopback port: Garnet, a .NET tool, so that the sample needs nothing but the SDK.</summary>
internal sealed class Garnet : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private Garnet(ChildProcess process, string address)
    {
        _process = process;
        Address = address;
    }

    /// <summary>Gets the address, as a client of Redis takes it.</summary>
    public string Address { get; }

    /// <summary>Starts the server; it accepts connections when the task is complete.</summary>
    public static async Task<Garnet> StartAsync()
    {
        await using (ChildProcess restore = ChildProcess.DotNet(["tool", "restore"]))
        {
            await restore.Output.ReadToEndAsync();
        }

        string port = FreePort().ToString(CultureInfo.InvariantCulture);
        ChildProcess process = ChildProcess.DotNet([
            "tool", "run", "garnet-server", "--",
            "--bind", "127.0.0.1", "--port", port, "--memory", "64m", "--page", "16m", "--index", "16m"]);
        while (await process.Output.ReadLineAsync() is { } line)
        {
            if (line.Contains("Ready to accept connections", StringComparison.Ordinal))
            {
                return new Garnet(process, $"127.0.0.1:{port}");
            }
        }

        await process.DisposeAsync();
        throw new InvalidOperationException("Garnet does not start. Does \"dotnet tool restore\" succeed?");
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
