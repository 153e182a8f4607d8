using System.Net;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 4.5: the 401's connection is free before a token is waited for; one connection is enough.</summary>
public class ConnectionTests
{
    private const int LargeBody = 6_000_000;
    private const int MostOfA401 = 64 * 1024;

    /// <summary>How a 401's body arrives, of which the caller gets what has come in time.</summary>
    public enum Arriving
    {
        Whole,
        Longer,
        Stalled,
        Broken,
    }

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task One_connection_is_enough_though_nobody_reads_the_large_body_of_the_401([Values] bool isAsync, [Values] HttpCompletionOption completion)
    {
        await using StandInServer server = await StartWithLarge401Async();
        await using TestApp app = server.App(client: OneConnection);
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        using HttpResponseMessage response = await (isAsync
            ? client.SendAsync(request, completion)
            : BothWays.OnThread(() => client.Send(request, completion))).WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("Free coffee"));
        Assert.That((server.ApiRequests, server.TokenRequests), Is.EqualTo((2, 2)));
    }

    /// <summary>Rule 4.5, with many callers on the one connection.</summary>
    [Test]
    public async Task One_connection_is_enough_for_many_requests_that_are_rejected_together([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        await using TestApp app = server.App(client: OneConnection);
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();
        HttpStatusCode[] statuses = await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            using HttpResponseMessage response = await client.SendAsync(request, isAsync);
            return response.StatusCode;
        }));

        Assert.That(statuses, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    /// <summary>Rule 4.5, where the API's clients and the token request share the connections.</summary>
    [Test]
    public async Task A_revocation_costs_one_POST_and_no_failed_call_where_API_and_token_request_share_a_few_connections(
        [Values] bool isAsync, [Values(1, 2, 4)] int connections, [Values(30, 200_000, LargeBody)] int bodyOfThe401)
    {
        const int Requests = 16;
        await using StandInServer server = await StartWithLarge401Async(bodyOfThe401);
        using var shared = new SocketsHttpHandler { MaxConnectionsPerServer = connections };
        await using var app = new TestApp(services =>
        {
            services.ConfigureHttpClientDefaults(client => client.ConfigurePrimaryHttpMessageHandler(() => shared));
            services.AddSparkflyAuth(options => options.Use(server));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        Assert.That(PrimaryHandlerOf(app, SparkflyAuthClient.ClientName("")), Is.SameAs(shared).And.SameAs(PrimaryHandlerOf(app, "api")));
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();
        HttpStatusCode[] statuses = await Task.WhenAll(Enumerable.Range(0, Requests).Select(async _ =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            using HttpResponseMessage response = await client.SendAsync(request, isAsync);
            return response.StatusCode;
        }));

        Assert.That(statuses, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task The_401_is_closed_after_at_most_64_KiB_of_it_before_the_second_attempt_leaves([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        var answers = new Answers();
        await using TestApp app = server.App(client: b => b.ConfigurePrimaryHttpMessageHandler(answers.NewHandler));
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(answers.OpenAtEachSend, Is.EqualTo([0, 0]), "answers still open when each of the two sends left");
        Assert.That(answers.Streams[0].BytesRead, Is.LessThan(MostOfA401 + 4096), "bytes read of the 401's body: the token request was waited for");
    }

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task The_401_is_closed_unread_before_the_second_attempt_leaves_where_nothing_is_waited_for([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        var answers = new Answers();
        var tokens = new OwnTokens(_ => Task.FromResult(new SparkflyToken(server.IssueToken(), default, DateTimeOffset.MaxValue)));
        await using TestApp app = AppWith(server, tokens, answers.NewHandler);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(answers.OpenAtEachSend, Is.EqualTo([0, 0]), "answers still open when each of the two sends left");
        Assert.That(answers.Streams[0].BytesRead, Is.Zero, "bytes read of the 401's body");
    }

    /// <summary>Rules 4.5 and 4.7.</summary>
    [Test]
    public async Task The_401_is_closed_where_the_renewal_fails([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        var answers = new Answers();
        await using TestApp app = server.App(client: b => b.ConfigurePrimaryHttpMessageHandler(answers.NewHandler));
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return Task.FromResult(true);
        };

        Assert.That(() => client.SendAsync(request, isAsync), Throws.TypeOf<SparkflyAuthenticationException>());
        Assert.That(answers.Streams.Single().IsOpen, Is.False);
    }

    /// <summary>Rules 4.5 and 4.7.</summary>
    [Test]
    public async Task The_401_is_closed_where_the_renewal_fails_at_once([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        var answers = new Answers();
        var tokens = new OwnTokens(static _ => throw new KeyNotFoundException("no token"));
        await using TestApp app = AppWith(server, tokens, answers.NewHandler);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        Assert.That(() => client.SendAsync(request, isAsync), Throws.TypeOf<KeyNotFoundException>());
        Assert.That(answers.Streams.Single().IsOpen, Is.False);
    }

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task A_401_that_is_handed_over_after_a_wait_brings_what_arrived_within_a_second_up_to_64_KiB(
        [Values] Arriving arriving, [Values] bool isAsync, [Values] HttpCompletionOption completion)
    {
        byte[] bytes = Bodies.Bytes(arriving == Arriving.Longer ? 200_000 : 10_000);
        var body = new ArrivingStream(bytes, arriving);
        var renewed = new TaskCompletionSource<SparkflyToken>(TaskCreationOptions.RunContinuationsAsynchronously);
        var tokens = new OwnTokens(_ => renewed.Task);
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = AppWith(server, tokens, () => new OwnPrimaryHandler((_, _) => Task.FromResult(Unauthorized(body, arriving))));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        Task<HttpResponseMessage> sending = isAsync
            ? client.SendAsync(request, completion)
            : BothWays.OnThread(() => client.Send(request, completion));
        await tokens.IsAsked.WaitAsync(TestApp.Patience);
        if (arriving == Arriving.Stalled)
        {
            await body.HasStalled.WaitAsync(TestApp.Patience);
            app.Time.Advance(TimeSpan.FromSeconds(0.999));
            Assert.That(body.IsClosed.IsCompleted, Is.False, "within the second");
            app.Time.Advance(TimeSpan.FromSeconds(0.001));
        }

        await body.IsClosed.WaitAsync(TestApp.Patience);
        Assert.That(sending.IsCompleted, Is.False, "the connection is free while the token is waited for");
        renewed.SetResult(tokens.Token);
        using HttpResponseMessage response = await sending.WaitAsync(TestApp.Patience);

        string? length = response.Content.Headers.NonValidated.TryGetValues("Content-Length", out var values) ? values.ToString() : null;
        byte[] received = await response.Content.ReadAsByteArrayAsync();
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(received, Is.EqualTo(bytes[..Math.Min(bytes.Length, MostOfA401)]));
        Assert.That(response.Content.Headers.ContentType?.MediaType, Is.EqualTo("application/json"));
        Assert.That(
            length,
            arriving == Arriving.Whole ? Is.EqualTo($"{bytes.Length}")
            : completion == HttpCompletionOption.ResponseHeadersRead ? Is.Null
            : Is.Null.Or.EqualTo($"{received.Length}"),
            "not the length of the whole; that of what there is may come from the platform's buffer");
    }

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task A_401_that_is_handed_over_without_a_wait_is_untouched([Values] bool isAsync)
    {
        var body = new ArrivingStream(Bodies.Bytes(200_000), Arriving.Longer);
        HttpResponseMessage? answer = null;
        HttpContent? content = null;
        var tokens = new OwnTokens(Task.FromResult);
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = AppWith(server, tokens, () => new OwnPrimaryHandler((_, _) =>
        {
            answer = Unauthorized(body, Arriving.Longer);
            content = answer.Content;
            return Task.FromResult(answer);
        }));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        using HttpResponseMessage response = await (isAsync
            ? client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead)
            : BothWays.OnThread(() => client.Send(request, HttpCompletionOption.ResponseHeadersRead))).WaitAsync(TestApp.Patience);

        Assert.That(tokens.IsAsked.IsCompleted, Is.True);
        Assert.That(response, Is.SameAs(answer));
        Assert.That(response.Content, Is.SameAs(content));
        Assert.That((body.Reads, body.IsClosed.IsCompleted), Is.EqualTo((0, false)));
    }

    /// <summary>Rule 4.5, over a connection: the body of a 401 comes as far as it is kept.</summary>
    [Test]
    public async Task A_long_401_of_the_network_that_is_handed_over_after_a_wait_brings_its_first_64_KiB([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        using var shared = new SocketsHttpHandler { MaxConnectionsPerServer = 1 };
        var tokens = new OwnTokens(async rejected =>
        {
            using var invoker = new HttpMessageInvoker(shared, disposeHandler: false);
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.BaseAddress, "auth"));
            (await invoker.SendAsync(request, CancellationToken.None)).Dispose();
            return rejected;
        });
        await using TestApp app = AppWith(server, tokens, () => shared);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await response.Content.ReadAsByteArrayAsync(), Has.Length.EqualTo(MostOfA401));
        Assert.That((server.ApiRequests, server.TokenRequests), Is.EqualTo((1, 1)));
    }

    /// <summary>Rule 4.3: a 401 that goes to the caller is the caller's, open and whole.</summary>
    [Test]
    public async Task A_401_that_goes_to_the_caller_is_left_open_for_it([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        await using TestApp app = server.App(options => options.RetryOnUnauthorized = false);
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await response.Content.ReadAsByteArrayAsync(), Has.Length.EqualTo(LargeBody));
    }

    private static async Task<StandInServer> StartWithLarge401Async(int length = LargeBody)
    {
        StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = async context =>
        {
            if (server.IsGood(context.Request.Headers["X-Auth-Token"].ToString()))
            {
                return false;
            }

            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            context.Response.ContentLength = length;
            await context.Response.Body.WriteAsync(new byte[length], context.RequestAborted);
            return true;
        };
        return server;
    }

    private static void OneConnection(IHttpClientBuilder client) =>
        client.ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { MaxConnectionsPerServer = 1 });

    private static HttpMessageHandler PrimaryHandlerOf(TestApp app, string client)
    {
        HttpMessageHandler handler = app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler(client);
        while (handler is DelegatingHandler { InnerHandler: { } inner })
        {
            handler = inner;
        }

        return handler;
    }

    /// <summary>An application with a token provider and a primary handler of its own.</summary>
    private static TestApp AppWith(StandInServer server, ISparkflyTokenProvider tokens, Func<HttpMessageHandler> primary) => new(services =>
    {
        services.AddSparkflyAuth(options => options.Use(server));
        services.AddSingleton(tokens);
        services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(primary);
    });

    private static HttpResponseMessage Unauthorized(ArrivingStream body, Arriving arriving)
    {
        var response = new HttpResponseMessage(HttpStatusCode.Unauthorized) { Content = new StreamContent(body) };
        response.Content.Headers.ContentType = new("application/json");
        response.Content.Headers.ContentLength = arriving is Arriving.Whole or Arriving.Longer ? body.Bytes.Length : 1_000_000;
        return response;
    }

    /// <summary>A token provider of the application's own, which decides how a renewal ends, and when.</summary>
    private sealed class OwnTokens(Func<SparkflyToken, Task<SparkflyToken>> renew) : ISparkflyTokenProvider
    {
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public SparkflyToken Token { get; } = new(SecretSweep.NewSecret("token"), default, DateTimeOffset.MaxValue);

        /// <summary>Completes when a renewal is asked for.</summary>
        public Task IsAsked => _asked.Task;

        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) => new(Token);

        public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
        {
            _asked.TrySetResult();
            return new(renew(rejected));
        }
    }

    /// <summary>Watches the stream of every answer.</summary>
    private sealed class Answers
    {
        public List<WatchedStream> Streams { get; } = [];

        /// <summary>How many answers were open whenever a message left.</summary>
        public List<int> OpenAtEachSend { get; } = [];

        /// <summary>A primary handler whose answers are watched.</summary>
        public OwnPrimaryHandler NewHandler() => new OwnPrimaryHandler(async (request, send) =>
        {
            OpenAtEachSend.Add(Streams.Count(static s => s.IsOpen));
            HttpResponseMessage response = await send(request);
            var stream = new WatchedStream(response.Content.ReadAsStream());
            Streams.Add(stream);
            response.Content = new StreamContent(stream);
            return response;
        });
    }

    /// <summary>A body that arrives in its own way: whole, or so far and no further.</summary>
    private sealed class ArrivingStream(byte[] bytes, Arriving arriving) : ReadOnlyStream
    {
        private readonly TaskCompletionSource _stalled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _position;
        private int _reads;

        public byte[] Bytes => bytes;

        public int Reads => Volatile.Read(ref _reads);

        /// <summary>Completes when all that arrives has been read, and more is waited for.</summary>
        public Task HasStalled => _stalled.Task;

        public Task IsClosed => _closed.Task;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _reads);
            if (_position == bytes.Length)
            {
                switch (arriving)
                {
                    case Arriving.Broken:
                        throw new IOException("The connection broke.");
                    case Arriving.Stalled:
                        _stalled.TrySetResult();
                        await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
                        break;
                    default:
                        return 0;
                }
            }

            int read = Math.Min(Math.Min(buffer.Length, 1000), bytes.Length - _position);
            bytes.AsMemory(_position, read).CopyTo(buffer);
            _position += read;
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

        protected override void Dispose(bool disposing)
        {
            _closed.TrySetResult();
            base.Dispose(disposing);
        }
    }

    private sealed class WatchedStream(Stream inner) : ReadOnlyStream
    {
        public bool IsOpen { get; private set; } = true;

        public long BytesRead { get; private set; }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = inner.Read(buffer, offset, count);
            BytesRead += read;
            return read;
        }

        protected override void Dispose(bool disposing)
        {
            IsOpen = false;
            inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
