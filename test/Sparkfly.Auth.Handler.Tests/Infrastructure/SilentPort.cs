using System.Net;
using System.Net.Sockets;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A port of this machine on which nobody listens: it is bound, so that no server of another test gets it meanwhile.</summary>
internal sealed class SilentPort : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public SilentPort() => _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

    public Uri BaseAddress => new($"http://{_socket.LocalEndPoint}/v1.0/");

    public void Dispose() => _socket.Dispose();
}
