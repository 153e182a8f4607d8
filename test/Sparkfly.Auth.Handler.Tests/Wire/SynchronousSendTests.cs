using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 5.4: <c>HttpClient.Send</c> works as <c>SendAsync</c> does. One scenario, sent both ways.</summary>
[TestFixture(true)]
[TestFixture(false)]
public class SynchronousSendTests(bool isAsync)
{
    [Test]
    public async Task A_cold_and_then_a_warm_request_are_answered_with_one_POST()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        for (int n = 0; n < 3; n++)
        {
            Assert.That(await StatusAsync(client, HttpMethod.Get, "offers"), Is.EqualTo(HttpStatusCode.OK), $"request {n}");
        }

        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 3)));
    }

    [Test]
    public async Task A_401_renews_the_token_and_the_request_is_sent_again_with_its_body()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        await using TestApp app = server.App();
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();

        Assert.That(await StatusAsync(client, HttpMethod.Put, "offers", "a body"), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest("a body"u8), 2)));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 2)));
    }

    [Test]
    public async Task A_second_401_goes_to_the_caller()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = static context =>
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return Task.FromResult(true);
        };
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        Assert.That(await StatusAsync(client, HttpMethod.Get, "offers"), Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 2)));
    }

    [TestCase(302, "GET", 0)]
    [TestCase(303, "GET", 0)]
    [TestCase(307, "POST", 6)]
    [TestCase(308, "POST", 6)]
    public async Task A_redirect_is_followed_with_the_token_and_as_the_platform_does_it(int status, string method, int bodyLength)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        string? arrived = null;
        var uploads = new Uploads();
        server.OnApiRequest = async context =>
        {
            await uploads.ReceiveAsync(context);
            if (context.Request.Path == "/v1.0/old")
            {
                context.Response.StatusCode = status;
                context.Response.Headers.Location = "new";
                return true;
            }

            arrived = context.Request.Method;
            return false;
        };
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        Assert.That(await StatusAsync(client, HttpMethod.Post, "old", "a body"), Is.EqualTo(HttpStatusCode.OK), "answered well, so the token was on it");
        Assert.That(arrived, Is.EqualTo(method));
        Assert.That(uploads.Of("/v1.0/new").Single().Length, Is.EqualTo(bodyLength));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_401_behind_a_redirect_renews_the_token_and_the_rejected_hop_is_sent_again()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = static context =>
        {
            if (context.Request.Path == "/v1.0/old")
            {
                context.Response.StatusCode = StatusCodes.Status307TemporaryRedirect;
                context.Response.Headers.Location = "new";
                return Task.FromResult(true);
            }

            return Task.FromResult(false);
        };
        await using TestApp app = server.App();
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();

        Assert.That(await StatusAsync(client, HttpMethod.Post, "old", "a body"), Is.EqualTo(HttpStatusCode.OK));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 3)));
    }

    /// <summary>Rules 5.4 and 6.1: what is above sends each attempt through our handler, in a chain of the application's own too.</summary>
    [Test]
    public async Task A_retry_above_sends_each_attempt_with_the_token_and_sees_none([Values] bool hasChain, [Values] bool isAddedFirst)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.RecordAndBeUnavailableOnce();
        var above = new ConcurrentQueue<bool>();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(server));
            IHttpClientBuilder client = services.AddHttpClient("api");
            _ = isAddedFirst ? client.AddHttpMessageHandler(NewRetry).AddSparkflyAuthHandler() : client.AddSparkflyAuthHandler().AddHttpMessageHandler(NewRetry);
            if (hasChain)
            {
                client.ConfigurePrimaryHttpMessageHandler(() => Look(new SocketsHttpHandler()));
            }
        });
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();

        Assert.That(await StatusAsync(client, HttpMethod.Put, "offers", "a body"), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(seen.Select(static s => (s.Token is not null, s.Text())), Is.EqualTo(Enumerable.Repeat((true, "a body"), 3)), "401, 503, 200");
        Assert.That(seen.Select(static s => s.TraceParent), Is.All.Not.Null & Is.Unique);
        Assert.That(above, Has.Count.EqualTo(hasChain ? 8 : 4).And.None.True, "neither before nor after an attempt");

        DelegatingHandler NewRetry() => new InlineHandler(async (request, send) =>
        {
            HttpResponseMessage response = await NoteAsync(request, send);
            return response.StatusCode == HttpStatusCode.ServiceUnavailable ? await NoteAsync(request, send) : response;
        });

        InlineHandler Look(HttpMessageHandler inner) => new(NoteAsync) { InnerHandler = inner };

        async Task<HttpResponseMessage> NoteAsync(HttpRequestMessage request, Func<HttpRequestMessage, Task<HttpResponseMessage>> send)
        {
            above.Enqueue(request.Headers.Contains("X-Auth-Token"));
            HttpResponseMessage response = await send(request);
            above.Enqueue(request.Headers.Contains("X-Auth-Token"));
            return response;
        }
    }

    [Test]
    public async Task A_request_to_another_origin_passes_without_a_token()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using StandInServer other = await Sparkfly.StartAsync();
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        Assert.That(await StatusAsync(client, HttpMethod.Get, new Uri(other.BaseAddress, "offers").AbsoluteUri), Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That((server.TokenRequests, server.ApiRequests, other.ApiRequests), Is.EqualTo((0, 0, 1)));
    }

    [Test]
    public async Task A_failed_token_request_fails_the_call_and_those_within_the_backoff_without_a_POST()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App(options => options.Key = SecretSweep.NewSecret("key"));
        using HttpClient client = app.Client();

        for (int n = 0; n < 2; n++)
        {
            Assert.That(
                () => StatusAsync(client, HttpMethod.Get, "offers"),
                Throws.TypeOf<SparkflyAuthenticationException>()
                    .With.Property(nameof(SparkflyAuthenticationException.AuthStatusCode)).EqualTo(HttpStatusCode.Unauthorized)
                    .And.Property(nameof(SparkflyAuthenticationException.IsTransient)).False,
                $"request {n}");
        }

        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 0)));
    }

    [Test]
    public async Task A_renewal_that_fails_fails_the_call()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App();
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return Task.FromResult(true);
        };

        Assert.That(
            () => StatusAsync(client, HttpMethod.Get, "offers"),
            Throws.TypeOf<SparkflyAuthenticationException>()
                .With.Property(nameof(SparkflyAuthenticationException.AuthStatusCode)).EqualTo(HttpStatusCode.ServiceUnavailable)
                .And.Property(nameof(SparkflyAuthenticationException.IsTransient)).True);
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 1)));
    }

    /// <summary>Rules 3.3 and 5.4.</summary>
    [Test]
    public async Task A_caller_that_cancels_while_it_waits_for_the_token_leaves_alone_and_the_POST_serves_the_next()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var asked = new TaskCompletionSource();
        var mayAnswer = new TaskCompletionSource();
        server.OnTokenRequest = async _ =>
        {
            asked.TrySetResult();
            await mayAnswer.Task;
            return false;
        };
        await using TestApp app = server.App();
        using HttpClient client = app.Client();
        using var cancelling = new CancellationTokenSource();

        Task<HttpStatusCode> cancelled = StatusAsync(client, HttpMethod.Get, "offers", cancellationToken: cancelling.Token);
        await asked.Task.WaitAsync(TestApp.Patience);
        await cancelling.CancelAsync();

        Assert.That(() => cancelled, Throws.InstanceOf<OperationCanceledException>());
        mayAnswer.SetResult();
        Assert.That(await StatusAsync(client, HttpMethod.Get, "offers"), Is.EqualTo(HttpStatusCode.OK));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 1)));
    }

    /// <summary>Rules 3.2 and 5.4.</summary>
    [Test]
    public async Task Sixty_four_callers_at_once_on_a_cold_token_make_one_POST()
    {
        const int Callers = 64;
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App();
        using HttpClient client = app.Client();
        using var together = new Barrier(Callers);

        HttpStatusCode[] statuses = await Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => BothWays.OnThread(() =>
        {
            together.SignalAndWait();
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            using HttpResponseMessage response = isAsync ? client.SendAsync(request).GetAwaiter().GetResult() : client.Send(request);
            return response.StatusCode;
        }))).WaitAsync(TestApp.Patience);

        Assert.That(statuses, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, Callers)));
    }

    /// <summary>Rule 5.4: whoever blocks the only thread of a synchronization context gets an answer, cold, warm, rejected and redirected.</summary>
    [Test]
    public async Task A_thread_that_is_its_contexts_only_one_may_block_on_the_call([Values] bool hasOwnProvider)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = static context =>
        {
            if (context.Request.Path == "/v1.0/old")
            {
                context.Response.StatusCode = StatusCodes.Status307TemporaryRedirect;
                context.Response.Headers.Location = "offers";
                return Task.FromResult(true);
            }

            return Task.FromResult(false);
        };
        await using var app = new TestApp(services =>
        {
            if (hasOwnProvider)
            {
                services.AddSingleton<ISparkflyTokenProvider>(new ContextBoundProvider(server));
            }

            services.AddSparkflyAuth(options => options.Use(server));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();

        HttpStatusCode[] statuses = await SingleThread.RunAsync(() => new[]
        {
            Blocked(client, "offers", hasOwnProvider),
            Blocked(client, "old", hasOwnProvider),
            Revoked(server),
            Blocked(client, "old", hasOwnProvider),
        }).WaitAsync(TestApp.Patience);

        Assert.That(statuses, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(server.ApiRequests, Is.EqualTo(1 + 2 + 3));
    }

    /// <summary>A primary handler of an application's own may not be able to send both ways.</summary>
    [Test]
    public async Task A_primary_handler_that_sends_one_way_alone_is_asked_that_way()
    {
        var sparkfly = new InMemorySparkfly();
        using var network = new OneWay(isAsync);
        await using TestApp app = sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => network),
            register: services => sparkfly.AddAccount(services, "second"));
        using HttpClient client = app.Client();
        foreach (string address in (string[])["cold", "warm", "rejected", "https://other.test/"])
        {
            Assert.That(await StatusAsync(client, HttpMethod.Get, address), Is.EqualTo(HttpStatusCode.OK), address);
        }

        using var request = new HttpRequestMessage(HttpMethod.Get, "named");
        request.SetSparkflyAccount("second");
        using HttpResponseMessage named = await client.SendAsync(request, isAsync);

        Assert.That(named.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(network.Tokens, Has.Count.EqualTo(6), "one of them was rejected");
        Assert.That(network.Tokens.Select(static t => t is not null), Is.EqualTo((bool[])[true, true, true, true, false, true]));
    }

    /// <summary>Nor may a handler of ConfigureAuthClient.</summary>
    [Test]
    public async Task A_token_request_is_sent_on_as_a_handler_of_ConfigureAuthClient_sends_it()
    {
        using var network = new OneWay(isAsync);
        await using var app = new TestApp(services => services
            .AddSparkflyAuth(options => (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
            .ConfigureAuthClient(client => client
                .AddHttpMessageHandler(() => new SendsOn(isAsync))
                .ConfigurePrimaryHttpMessageHandler(() => network)));

        await app.Tokens.GetTokenAsync();

        Assert.That(network.Tokens, Has.Count.EqualTo(1));
    }

    // Where the application's own provider comes back to its caller's context, an asynchronous call must not be blocked on there: that is the
    // application's doing. A synchronous one may.
    private HttpStatusCode Blocked(HttpClient client, string path, bool comesBack)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StreamContent(new OneWayStream(Bodies.Bytes(1000))) };
        using HttpResponseMessage response = !isAsync ? client.Send(request)
            : comesBack ? Task.Run(() => client.SendAsync(request)).GetAwaiter().GetResult()
            : client.SendAsync(request).GetAwaiter().GetResult();
        return response.StatusCode;
    }

    private static HttpStatusCode Revoked(StandInServer server)
    {
        server.RevokeTokens();
        return HttpStatusCode.OK;
    }

    private async Task<HttpStatusCode> StatusAsync(
        HttpClient client, HttpMethod method, string address, string? body = null, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(method, address) { Content = body is null ? null : new StringContent(body) };
        using HttpResponseMessage response = await client.SendAsync(request, isAsync, cancellationToken);
        return response.StatusCode;
    }

    /// <summary>A network that sends one way, and rejects the first message to "rejected".</summary>
    private sealed class OneWay(bool isAsync) : HttpMessageHandler
    {
        private bool _hasRejected;

        public ConcurrentQueue<string?> Tokens { get; } = new();

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            isAsync ? Task.FromResult(Answer(request)) : throw new NotSupportedException("SendAsync");

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
            isAsync ? throw new NotSupportedException("Send") : Answer(request);

        private HttpResponseMessage Answer(HttpRequestMessage request)
        {
            Tokens.Enqueue(InMemorySparkfly.TokenOf(request));
            bool isRejected = !_hasRejected && request.RequestUri!.AbsolutePath.EndsWith("/rejected", StringComparison.Ordinal);
            _hasRejected |= isRejected;
            var response = new HttpResponseMessage(isRejected ? HttpStatusCode.Unauthorized : HttpStatusCode.OK) { RequestMessage = request };
            response.Headers.Add("X-Auth-Token", SecretSweep.NewSecret("token"));
            return response;
        }
    }

    private sealed class SendsOn(bool isAsync) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            isAsync ? base.SendAsync(request, cancellationToken) : Task.FromResult(base.Send(request, cancellationToken));
    }

    /// <summary>An application's own provider, which always goes on in the context that it was called in.</summary>
    private sealed class ContextBoundProvider(StandInServer server) : ISparkflyTokenProvider
    {
        private SparkflyToken? _token;

        public async ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default)
        {
            await Task.Yield();
            return _token ??= New();
        }

        public async ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
        {
            await Task.Yield();
            return _token = New();
        }

        private SparkflyToken New() => new(server.IssueToken(), DateTimeOffset.UnixEpoch, DateTimeOffset.MaxValue);
    }
}
