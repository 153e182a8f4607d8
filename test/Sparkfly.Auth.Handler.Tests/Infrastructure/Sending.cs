using System.Net;
using System.Net.Sockets;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The two ways to send a request: a scenario is written once, and run for both.</summary>
public enum Sending
{
    Async,
    Sync,
}

/// <summary>The primary handlers that an application may choose.</summary>
public enum Primary
{
    Default,
    Sockets,
    HttpClientHandler,
}

internal static class SendingExtensions
{
    public static Task<HttpResponseMessage> SendAs(
        this HttpClient client, Sending sending, HttpRequestMessage request, CancellationToken cancellationToken = default) =>
        client.SendAsync(request, sending == Sending.Async, cancellationToken);

    public static async Task<HttpResponseMessage> GetAs(this HttpClient client, Sending sending, string address)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        return await client.SendAs(sending, request);
    }

    public static Task<HttpResponseMessage> GetAs(this HttpClient client, Sending sending, Uri address) =>
        client.GetAs(sending, address.OriginalString);

    /// <summary>Puts the primary handler in, as an application does that wants something special of it.</summary>
    public static IHttpClientBuilder Use(this IHttpClientBuilder client, Primary primary) => primary switch
    {
        Primary.Sockets => client.ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler()),
        Primary.HttpClientHandler => client.ConfigurePrimaryHttpMessageHandler(static () => new HttpClientHandler()),
        _ => client,
    };

    /// <summary>The origin, as a redirect's location begins: <c>http://127.0.0.1:1234</c>.</summary>
    public static string Root(this Uri address) => address.GetLeftPart(UriPartial.Authority);
}

/// <summary>A network in which host names of the test's own choice lead to its servers.</summary>
internal sealed class Network(Func<DnsEndPoint, Uri> lookUp)
{
    /// <summary>A handler on it, otherwise the platform's own.</summary>
    public SocketsHttpHandler Handler() => new()
    {
        ConnectCallback = async (context, cancellationToken) =>
        {
            Uri server = lookUp(context.DnsEndPoint);
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, server.Port, cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
#pragma warning disable CA5359 // The certificate is one that the test has just made.
        SslOptions = { RemoteCertificateValidationCallback = static (_, _, _, _) => true },
#pragma warning restore CA5359
    };
}
