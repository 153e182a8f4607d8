using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The ways to the service: a primary handler in memory, and real connections, HTTP/1.1 and HTTP/2.</summary>
internal sealed class ChaosWires : IAsyncDisposable
{
    private readonly ChaosService _service;
    private readonly WebApplication _server;

    private ChaosWires(ChaosService service)
    {
        _service = service;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(static kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0, static listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, 0, static listen => listen.Protocols = HttpProtocols.Http2);
        });
        _server = builder.Build();
        _server.Run(AnswerAsync);
    }

    public static async Task<ChaosWires> StartAsync(ChaosService service)
    {
        var wires = new ChaosWires(service);
        await wires._server.StartAsync();
        return wires;
    }

    public HttpMessageHandler InMemory() => new MemoryHandler(_service);

    public SocketsHttpHandler Http1() => Sockets(0);

    public SocketsHttpHandler Http2() => Sockets(1);

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private SocketsHttpHandler Sockets(int port)
    {
        Uri server = new(_server.Urls.ElementAt(port));
        SocketsHttpHandler handler = new Network(_ => server).Handler();

        // A container that was disposed of leaves its connections behind.
        handler.PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5);
        return handler;
    }

    private async Task AnswerAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        using var reader = new StreamReader(request.Body);
        string body = await reader.ReadToEndAsync();
        var message = new ChaosMessage(
            HttpMethod.Parse(request.Method),
            new Uri($"http://{request.Host}{request.Path}{request.QueryString}"),
            name => request.Headers.TryGetValue(name, out var values) ? values.ToString() : null,
            body.Length > 0 ? body : null,
            IsOnSocket: true);
        ChaosAnswer answer = await _service.AnswerAsync(message);
        if (answer.IsReset)
        {
            context.Abort();
            return;
        }

        context.Response.StatusCode = (int)answer.Status;
        foreach ((string name, string? value) in Headers(answer))
        {
            context.Response.Headers[name] = value;
        }

        if (answer.Status != HttpStatusCode.NoContent)
        {
            await context.Response.WriteAsync(answer.Body);
        }
    }

    private static IEnumerable<(string Name, string Value)> Headers(ChaosAnswer answer) =>
        from header in ((string Name, string? Value)[])[("Location", answer.Location), ("Retry-After", answer.RetryAfter), ("X-Auth-Token", answer.Token)]
        where header.Value is not null
        select (header.Name, header.Value);

    /// <summary>Of a type whose redirects our handler follows.</summary>
    private sealed class MemoryHandler(ChaosService service) : HttpClientHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var message = new ChaosMessage(
                request.Method,
                request.RequestUri!,
                name => request.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null,
                await ReadAsync(request.Content, cancellationToken),
                IsOnSocket: false);
            ChaosAnswer answer = await service.AnswerAsync(message);
            if (answer.IsReset)
            {
                throw new HttpRequestException(HttpRequestError.ConnectionError, "The connection was broken.");
            }

            var response = new HttpResponseMessage(answer.Status) { RequestMessage = request, Content = new StringContent(answer.Body) };
            foreach ((string name, string value) in Headers(answer))
            {
                response.Headers.TryAddWithoutValidation(name, value);
            }

            return response;
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
            SendAsync(request, cancellationToken).GetAwaiter().GetResult();

        // As a connection reads it: nothing is buffered in the content, which may be sent again.
        private static async Task<string?> ReadAsync(HttpContent? content, CancellationToken cancellationToken)
        {
            if (content is null)
            {
                return null;
            }

            using var stream = new MemoryStream();
            await content.CopyToAsync(stream, cancellationToken);
            return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
        }
    }
}
