using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>One request as a server has seen it.</summary>
internal sealed record Seen(string Method, string Url, IReadOnlyDictionary<string, string> Headers, string Body)
{
    public string? Token => Headers.GetValueOrDefault("X-Auth-Token");

    public string? TraceParent => Headers.GetValueOrDefault("traceparent");

    /// <summary>The body as text.</summary>
    public string Text() => Encoding.UTF8.GetString(Convert.FromHexString(Body));

    public static async Task<Seen> OfAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        return new Seen(
            context.Request.Method,
            context.Request.Path.Value + context.Request.QueryString,
            context.Request.Headers.ToDictionary(static h => h.Key, static h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase),
            Convert.ToHexString(body.ToArray()));
    }

    /// <summary>Everything but the named headers, as text that can be compared. The ids of a trace are random, so only their shape is in it.</summary>
    public string Without(params string[] headers) =>
        $"{Method} {Url} {{{string.Join("; ", Headers.Where(h => !headers.Contains(h.Key, StringComparer.OrdinalIgnoreCase))
            .OrderBy(static h => h.Key, StringComparer.OrdinalIgnoreCase).Select(static h => $"{h.Key}: {Traces.WithoutIds(h.Value)}"))}}} {Body}";

    public override string ToString() => Without();
}

/// <summary>A server that is not Sparkfly, and keeps every request it gets.</summary>
internal sealed class RecordingServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<Seen> _requests = new();

    private RecordingServer(bool isHttps)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (isHttps)
            {
                listen.UseHttps(NewCertificate());
            }
        }));
        _app = builder.Build();
        _app.Run(async context =>
        {
            _requests.Enqueue(await Seen.OfAsync(context));
            await Answer(context);
        });
    }

    /// <summary>Its root: <c>http://127.0.0.1:port/</c>.</summary>
    public Uri Address { get; private set; } = null!;

    public IReadOnlyList<Seen> Requests => [.. _requests];

    public Func<HttpContext, Task> Answer { get; set; } = static _ => Task.CompletedTask;

    public static async Task<RecordingServer> StartAsync(bool isHttps = false)
    {
        var server = new RecordingServer(isHttps);
        await server._app.StartAsync();
        server.Address = new Uri(server._app.Urls.Single());
        return server;
    }

    public void Clear() => _requests.Clear();

    public void AnswerAlways(HttpStatusCode status) => Answer = context =>
    {
        context.Response.StatusCode = (int)status;
        return Task.CompletedTask;
    };

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.Zero);
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private static X509Certificate2 NewCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}

/// <summary>What tests of redirects ask of both servers.</summary>
internal static class Answers
{
    public static Task RedirectTo(this HttpContext context, int status, string location)
    {
        context.Response.StatusCode = status;
        context.Response.Headers.Location = location;
        return Task.CompletedTask;
    }

    /// <summary>
    /// Records the API requests of a stand-in. Where <paramref name="answer"/> returns false, the stand-in answers as Sparkfly does.
    /// </summary>
    public static ConcurrentQueue<Seen> Record(this StandInServer server, Func<HttpContext, bool> answer)
    {
        var requests = new ConcurrentQueue<Seen>();
        server.OnApiRequest = async context =>
        {
            requests.Enqueue(await Seen.OfAsync(context));
            return answer(context);
        };
        return requests;
    }

    /// <summary>Redirects what comes to the path; all else is answered as Sparkfly does.</summary>
    public static ConcurrentQueue<Seen> Redirect(this StandInServer server, string path, string location, int status = 307) =>
        server.Record(context =>
        {
            if (context.Request.Path != path)
            {
                return false;
            }

            context.RedirectTo(status, location);
            return true;
        });
}
