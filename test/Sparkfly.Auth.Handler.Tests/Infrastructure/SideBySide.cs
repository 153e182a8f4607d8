using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Two clients of one application, one with our handler and one without, on a network whose hosts are all one server, over HTTP/1.1 or HTTP/2. What
/// the server gets of each, and what the callers get, is a transcript that can be compared.
/// </summary>
internal sealed class SideBySide : IAsyncDisposable
{
    /// <summary>The host of the account's origin.</summary>
    public const string Home = "sparkfly.test";

    /// <summary>A host that is not Sparkfly's.</summary>
    public const string Other = "other.test";

    private readonly Version _version;
    private readonly WebApplication _server;
    private readonly ConcurrentQueue<Arrived> _arrived = new();
    private readonly ConcurrentDictionary<string, bool> _tokens = new();
    private TestApp _app = null!;
    private int _tokenRequests;

    private SideBySide(Version version)
    {
        _version = version;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(
            IPAddress.Loopback, 0, listen => listen.Protocols = version == HttpVersion.Version20 ? HttpProtocols.Http2 : HttpProtocols.Http1));
        _server = builder.Build();
        _server.Run(AnswerAsync);
    }

    /// <summary>The client with our handler.</summary>
    public HttpClient Ours { get; private set; } = null!;

    /// <summary>The client without.</summary>
    public HttpClient Plain { get; private set; } = null!;

    /// <summary>Answers all but token requests. What it does not read of a body is not read.</summary>
    public Func<HttpContext, Arrived, Task> Answer { get; set; } = static (_, arrived) => arrived.ReadBodyAsync();

    /// <summary>What has arrived at the server, but for token requests.</summary>
    public IReadOnlyList<Arrived> Arrived => [.. _arrived];

    public int TokenRequests => Volatile.Read(ref _tokenRequests);

    /// <param name="version">The protocol.</param>
    /// <param name="primary">What the primary handlers of both clients are to be.</param>
    /// <param name="above">What else is in the pipelines of both clients.</param>
    public static async Task<SideBySide> StartAsync(Version version, Action<SocketsHttpHandler>? primary = null, Action<IHttpClientBuilder>? above = null)
    {
        var sides = new SideBySide(version);
        await sides._server.StartAsync();
        var network = new Network(_ => new Uri(sides._server.Urls.Single()));
        sides._app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.BaseAddress = new Uri($"http://{Home}/v1.0");
                options.AllowHttp = true;
                options.Identity = SecretSweep.NewSecret("identity");
                options.Key = SecretSweep.NewSecret("key");
                options.UnauthorizedRefreshInterval = TimeSpan.Zero;
            }).ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(network.Handler).ConfigureHttpClient(client =>
            {
                client.DefaultRequestVersion = version;
                client.DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact;
            }));
            Add(services.AddHttpClient("ours")).AddSparkflyAuthHandler();
            Add(services.AddHttpClient("plain"));
        });
        sides.Ours = sides._app.Client("ours");
        sides.Plain = sides._app.Client("plain");
        return sides;

        IHttpClientBuilder Add(IHttpClientBuilder client)
        {
            above?.Invoke(client);
            return client.ConfigurePrimaryHttpMessageHandler(() =>
            {
                SocketsHttpHandler handler = network.Handler();

                // A slow machine is not to send a body before it is asked for.
                handler.Expect100ContinueTimeout = TestApp.Patience;
                primary?.Invoke(handler);
                return handler;
            });
        }
    }

    public void RevokeTokens() => _tokens.Clear();

    public bool IsGood(Arrived arrived) => arrived.Token is { } token && _tokens.ContainsKey(token);

    public HttpRequestMessage Request(HttpMethod method, string host, string path, HttpContent? content = null) => new(method, $"http://{host}{path}")
    {
        Version = _version,
        VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Content = content,
    };

    /// <summary>Sends the requests one after another, through one of the clients.</summary>
    public async Task<Transcript> SendAsync(HttpClient client, params HttpRequestMessage[] requests)
    {
        _arrived.Clear();
        var lines = new List<string>();
        var chains = new List<Arrived[]>();
        foreach (HttpRequestMessage request in requests)
        {
            int before = _arrived.Count;
            lines.Add(await ResultAsync(client, request));
            chains.Add([.. _arrived.Skip(before)]);
            lines.AddRange(chains[^1].Select(static a => $"  {a}"));

            // A plain client leaves the platform's trace headers there.
            lines.Add($"  after the call: {request.Method} {request.RequestUri} {request.Content is not null} " + string.Join("; ", request.Headers
                .Where(static h => !Traces.Names.Contains(h.Key) || h.Value.Contains(Traces.Own)).Select(static h => $"{h.Key}: {string.Join(',', h.Value)}")));
            request.Dispose();
        }

        return new Transcript(string.Join('\n', lines), chains);
    }

    /// <summary>
    /// Sends the requests through both clients. All that the server and the callers see must be the same, but for the token, which each message to
    /// Sparkfly has until a chain of redirects has been elsewhere, and for cookies, which Sparkfly's do not have.
    /// </summary>
    /// <param name="what">What is compared, for the message of a failure.</param>
    /// <param name="requests">Makes the requests.</param>
    /// <param name="withTraces">Whether trace headers must have the same shape too.</param>
    public async Task<Transcript> CompareAsync(string what, Func<HttpRequestMessage[]> requests, bool withTraces = true)
    {
        Transcript plain = await SendAsync(Plain, requests());
        Transcript ours = await SendAsync(Ours, requests());
        Assert.That(ours.Text, Is.EqualTo(plain.Text), what);
        if (withTraces)
        {
            Assert.That(ours.TraceShape, Is.EqualTo(plain.TraceShape), what);
        }

        foreach (Arrived[] chain in ours.Chains)
        {
            bool hasBeenElsewhere = false;
            foreach (Arrived arrived in chain)
            {
                hasBeenElsewhere |= arrived.Host != Home;
                Assert.That(arrived.Token is null, Is.EqualTo(hasBeenElsewhere), $"{what}: the token on {arrived}");
            }
        }

        return ours;
    }

    public async ValueTask DisposeAsync()
    {
        Ours?.Dispose();
        Plain?.Dispose();
        await _app.DisposeAsync();
        using var now = new CancellationTokenSource(TimeSpan.Zero);
        await _server.StopAsync(now.Token);
        await _server.DisposeAsync();
    }

    private static async Task<string> ResultAsync(HttpClient client, HttpRequestMessage request)
    {
        string asked = $"{request.Method} {request.RequestUri}";
        try
        {
            using HttpResponseMessage response = await client.SendAsync(request).WaitAsync(TestApp.Patience);
            string headers = string.Join("; ", response.Headers.Concat(response.Content.Headers).Concat(response.TrailingHeaders)
                .Where(static h => h.Key != "Date").Select(static h => $"{h.Key}: {string.Join(',', h.Value)}"));
            return $"{asked}: {response.Version} {(int)response.StatusCode} {response.RequestMessage!.RequestUri} {ReferenceEquals(response.RequestMessage, request)} " +
                $"{{{headers}}} {await response.Content.ReadAsStringAsync()}";
        }
        catch (Exception exception) when (exception is not TimeoutException)
        {
            return $"{asked}: {exception.GetType().Name} {(exception as HttpRequestException)?.HttpRequestError} {exception.Message}";
        }
    }

    private async Task AnswerAsync(HttpContext context)
    {
        if (context.Request.Host.Host == Home && context.Request.Path == "/v1.0/auth")
        {
            string token = SecretSweep.NewSecret("token");
            _tokens[token] = true;
            Interlocked.Increment(ref _tokenRequests);
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            context.Response.Headers["X-Auth-Token"] = token;
            return;
        }

        var arrived = new Arrived(context);
        _arrived.Enqueue(arrived);
        await Answer(context, arrived);
    }
}

/// <summary>What a server and a caller have seen of some requests.</summary>
/// <param name="Text">All of it, to be compared.</param>
/// <param name="Chains">What has arrived of each request.</param>
internal sealed record Transcript(string Text, IReadOnlyList<Arrived[]> Chains)
{
    public string TraceShape => Traces.Shape(Chains.SelectMany(static c => c).Select(static a => a.TraceParent));
}

/// <summary>A message as it has arrived at a server.</summary>
internal sealed class Arrived(HttpContext context)
{
    private readonly string _start = $"{context.Request.Protocol} {context.Request.Method} {context.Request.Host}{context.Request.Path}{context.Request.QueryString}";
    private readonly Stream _body = context.Request.Body;
    private readonly CancellationToken _aborted = context.RequestAborted;
    private readonly Dictionary<string, string> _headers =
        context.Request.Headers.ToDictionary(static h => h.Key, static h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase);

    private string _read = "(unread)";

    public string Host { get; } = context.Request.Host.Host;

    public string? Token => _headers.GetValueOrDefault("X-Auth-Token");

    public string? Cookie => _headers.GetValueOrDefault("Cookie");

    public string? TraceParent => _headers.GetValueOrDefault("traceparent");

    public async Task ReadBodyAsync()
    {
        using var body = new MemoryStream();
        await _body.CopyToAsync(body, _aborted);
        _read = $"{body.Length.ToString(CultureInfo.InvariantCulture)} bytes {Upload.Digest(body.ToArray())}";
    }

    /// <summary>All but the token, and the cookies of Sparkfly.</summary>
    public override string ToString()
    {
        string headers = string.Join("; ", _headers
            .Where(h => !Is(h.Key, "X-Auth-Token") && !(Is(h.Key, "Cookie") && Host == SideBySide.Home))
            .OrderBy(static h => h.Key, StringComparer.OrdinalIgnoreCase)
            .Select(static h => $"{h.Key}: {Traces.WithoutIds(h.Value)}"));
        return $"{_start} {{{headers}}} {_read}";

        // HTTP/2 has all names in lower case.
        static bool Is(string name, string header) => name.Equals(header, StringComparison.OrdinalIgnoreCase);
    }
}
