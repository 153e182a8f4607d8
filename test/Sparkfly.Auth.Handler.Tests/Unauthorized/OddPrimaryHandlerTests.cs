using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 4.1, 4.4 and 4.7 over a primary handler or a token provider that does what the platform's and ours do not.</summary>
public class OddPrimaryHandlerTests
{
    private readonly InMemorySparkfly _sparkfly = new();

    /// <summary>A mock is often told to return one object: <c>ReturnsAsync(new HttpResponseMessage(HttpStatusCode.Unauthorized))</c>.</summary>
    [Test]
    public async Task A_primary_handler_that_answers_always_with_one_401_object_gives_the_caller_a_401_that_can_be_read(
        [Values("nothing", "text", "stream", "JSON")] string body, [Values] bool isRenewedAtOnce, [Values] bool isAsync)
    {
        using var response = new HttpResponseMessage(HttpStatusCode.Unauthorized)
        {
            Content = body switch
            {
                "text" => new StringContent("no"),
                "stream" => new StreamContent(new MemoryStream("no"u8.ToArray())),
                "JSON" => JsonContent.Create("no"),
                _ => null,
            },
        };
        using var primary = new FakePrimary(_ => response);
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary),
            register: services =>
            {
                if (isRenewedAtOnce)
                {
                    services.AddSingleton<ISparkflyTokenProvider>(new NewTokenEachTime());
                }
            });
        using HttpClient client = app.Client();

        for (int call = 1; call <= 2; call++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            HttpResponseMessage handedOver = await client.SendAsync(request, isAsync);

            Assert.That(handedOver.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
            string text = await handedOver.Content.ReadAsStringAsync();
            if (body is "text" or "JSON")
            {
                Assert.That(text, Does.Contain("no"), "what the mock was told to answer");
            }
        }

        Assert.That(primary.Requests, Is.GreaterThan(2), "it was sent again");
    }

    /// <summary>Rule 4.4: the timer of <c>Expect: 100-continue</c> may run out in the moment in which the 401 comes.</summary>
    [Test]
    public async Task A_first_send_that_begins_with_the_body_only_when_it_has_ended_takes_nothing_away_from_the_second()
    {
        var bodies = new ConcurrentQueue<string>();
        HttpContent? first = null;
        using var primary = new ScriptedPrimaryHandler(async (request, _) =>
        {
            if (first is null)
            {
                first = request.Content;
                return new HttpResponseMessage(HttpStatusCode.Unauthorized) { RequestMessage = request };
            }

            Assert.That(async () => await first.CopyToAsync(Stream.Null), Throws.InvalidOperationException);
            bodies.Enqueue(await request.Content!.ReadAsStringAsync(CancellationToken.None));
            return new HttpResponseMessage { RequestMessage = request };
        });
        await using TestApp app = _sparkfly.App(
            static options => options.MaxReplayBodySize = 0, client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary));
        using HttpClient client = app.Client();
        int reads = 0;
        using var content = new OwnAsyncContent(async (_, stream) =>
        {
            Assert.That(++reads, Is.EqualTo(1), "it can be read once");
            await stream.WriteAsync("whole"u8.ToArray());
        });

        using HttpResponseMessage response = await client.PostAsync("offers", content);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(bodies, Is.EqualTo((string[])["whole"]));
    }

    /// <summary>Rule 4.1: what the primary handler has made of the message was sent, and must not be sent twice.</summary>
    [TestCase("GET", "https://sparkfly.test/v1.0/offers", true)]
    [TestCase("POST", "https://sparkfly.test/v1.0/offers", false)]
    [TestCase("GET", "https://sparkfly.test/v1.0/elsewhere", false)]
    [TestCase("POST", "https://sparkfly.test/v1.0/elsewhere", false)]
    public async Task A_401_to_a_copy_of_the_message_is_replayed_and_one_to_another_message_is_the_callers(string method, string address, bool isReplayed)
    {
        using var primary = new FakePrimary(request => new HttpResponseMessage(HttpStatusCode.Unauthorized)
        {
            RequestMessage = new HttpRequestMessage(new HttpMethod(method), address),
        });
        await using TestApp app = _sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(primary.Requests, Is.EqualTo(isReplayed ? 2 : 1));
        Assert.That(app.Log.Any(static l => l.Contains("it answers another message", StringComparison.Ordinal)), Is.EqualTo(!isReplayed));
        await _sparkfly.TokenRequests.Reaches(2);
    }

    /// <summary>Rules 4.1 and 6.2: it has followed a redirect, but the token was not taken along.</summary>
    [Test]
    public async Task A_401_that_the_primary_handler_brings_from_elsewhere_without_the_token_renews_nothing_and_it_goes_on_being_used([Values] bool isAsync)
    {
        using var primary = new FakePrimary(request => new HttpResponseMessage(HttpStatusCode.Unauthorized)
        {
            RequestMessage = new HttpRequestMessage(HttpMethod.Get, "https://elsewhere.test/"),
        });
        await using TestApp app = _sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary));
        using HttpClient client = app.Client();

        for (int call = 1; call <= 3; call++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            using HttpResponseMessage response = await client.SendAsync(request, isAsync);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
            Assert.That(primary.Requests, Is.EqualTo(call));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
        Assert.That(app.Log, Has.None.StartsWith("[Critical]"));
    }

    /// <summary>Rule 6.9: it adds them as the platform's own does, which it may be wrapped around.</summary>
    [Test]
    public async Task Trace_headers_that_a_primary_handler_of_an_unknown_type_adds_do_not_stay_on_the_message([Values] bool isAsync, [Values] bool isTokenRequest)
    {
        int sends = 0;
        _sparkfly.OnApiRequest = static (_, _) => Task.FromResult<HttpResponseMessage?>(new HttpResponseMessage(HttpStatusCode.OK));
        using var primary = new FakePrimary(request =>
        {
            sends++;
            Assert.That(request.Headers.Contains("traceparent"), Is.False, "of an earlier send");
            request.Headers.Add("traceparent", $"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{sends}-01");
            return new HttpResponseMessage(sends == 1 ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.OK)
            {
                Headers = { { "X-Auth-Token", SecretSweep.NewSecret("token") } },
            };
        });
        await using var app = new TestApp(services =>
        {
            IHttpClientBuilder? auth = null;
            services.AddSparkflyAuth("", _sparkfly.Settings)
                .ConfigureAuthClient(client => auth = client.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
            IHttpClientBuilder api = services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);
            (isTokenRequest ? auth! : api).ConfigurePrimaryHttpMessageHandler(() => primary).AddHttpMessageHandler(static () => new InlineHandler(static (request, send) =>
            {
                // Without an await, so that both ways of sending can use it.
                using HttpResponseMessage first = send(request).GetAwaiter().GetResult();
                return send(request);
            }));
        });
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That((response.StatusCode, sends), Is.EqualTo((HttpStatusCode.OK, 2)));
        Assert.That(request.Headers.Contains("traceparent"), Is.False);
    }

    [Test]
    public async Task A_provider_of_the_applications_own_that_fails_when_its_caller_has_gone_leaves_no_unobserved_exception()
    {
        var unobserved = new ConcurrentQueue<Exception>();
        EventHandler<UnobservedTaskExceptionEventArgs> note = (_, e) => unobserved.Enqueue(e.Exception);
        TaskScheduler.UnobservedTaskException += note;
        try
        {
            await CancelWhileRenewingAsync();
            for (int i = 0; i < 3; i++)
            {
                // In another stack, so that no variable of this one keeps the renewal alive.
                await Task.Yield();
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= note;
        }

        Assert.That(unobserved.Where(static e => e.InnerException is KeyNotFoundException), Is.Empty);
    }

    /// <summary>Rule 4.7, and what is counted: a message that was not sent again is not counted as sent again.</summary>
    [Test]
    public async Task A_provider_of_the_applications_own_that_renews_to_nothing_is_named_and_the_message_is_not_sent_again([Values] bool isAsync)
    {
        using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary),
            register: static services => services.AddSingleton<ISparkflyTokenProvider>(new NewTokenEachTime { RenewsToNothing = true }));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        Assert.That(async () => await client.SendAsync(request, isAsync), Throws.InvalidOperationException.With.Message.Contains(nameof(NewTokenEachTime)));
        Assert.That(primary.Requests, Is.EqualTo(1));
        Assert.That(app.Log, Has.None.Contains("sent again"));
    }

    // A method of its own, so that nothing of it is alive when the memory is collected.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private async Task CancelWhileRenewingAsync()
    {
        var tokens = new FailsLate();
        using var cancelled = new CancellationTokenSource();
        using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary),
            register: services => services.AddSingleton<ISparkflyTokenProvider>(tokens));
        using HttpClient client = app.Client();
        tokens.OnRenewal = cancelled.Cancel;

        Assert.That(async () => await client.GetAsync("offers", cancelled.Token).WaitAsync(TestApp.Patience), Throws.InstanceOf<OperationCanceledException>());
        tokens.Fail();
    }

    private sealed class NewTokenEachTime : ISparkflyTokenProvider
    {
        public bool RenewsToNothing { get; init; }

        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
            new(new SparkflyToken(SecretSweep.NewSecret("token"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue));

        public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default) =>
            RenewsToNothing ? default : GetTokenAsync(cancellationToken);
    }

    private sealed class FailsLate : ISparkflyTokenProvider
    {
        private readonly TaskCompletionSource _mayFail = new();

        public Action OnRenewal { get; set; } = static () => { };

        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
            new(new SparkflyToken(SecretSweep.NewSecret("token"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue));

        // The task is kept nowhere: the platform complains of an exception when the task is collected.
        public async ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
        {
            OnRenewal();
            await _mayFail.Task;
            throw new KeyNotFoundException("late");
        }

        public void Fail() => _mayFail.SetResult();
    }
}
