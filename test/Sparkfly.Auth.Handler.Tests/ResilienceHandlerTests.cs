using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Time.Testing;
using Polly.CircuitBreaker;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rules 4.1, 4.3, 5.2 and 5.6 beside the platform's standard resilience handler: what each scenario costs in token requests and API calls,
/// and what the caller gets. docs/resilience.md shows these figures, and the snippet that is tested here.
/// </summary>
public class ResilienceHandlerTests
{
    /// <summary>Where the standard resilience handler stands.</summary>
    public enum Place
    {
        None,
        Inside,
        Outside,
        OutsideWithSnippet,
    }

    private static TestCaseData[] Scenarios =>
    [
        Case("The first call, cold", Cold, "1 / 1 → 200", "1 / 1 → 200", "1 / 1 → 200", "1 / 1 → 200"),
        Case("The token was revoked", Revoked, "2 / 2 → 200", "2 / 2 → 200", "2 / 2 → 200", "2 / 2 → 200"),
        Case("The API answers 401 to every token", Rejecting, "2 / 2 → 401", "2 / 2 → 401", "2 / 2 → 401", "2 / 2 → 401"),
        Case("The API answers 503 once", UnavailableOnce, "1 / 1 → 503", "1 / 2 → 200", "1 / 2 → 200", "1 / 2 → 200"),
        Case("The API is down: 503", Unavailable, "1 / 1 → 503", "1 / 4 → 503", "1 / 4 → 503", "1 / 4 → 503"),
        Case("The token was revoked, and the API answers 503 once after that", RevokedAndUnavailableOnce, "2 / 2 → 503", "2 / 3 → 200", "2 / 3 → 200", "2 / 3 → 200"),
        Case("`/auth` answers 503 once", AuthUnavailableOnce, "1 / 0 → exception", "1 / 0 → exception", "2 / 1 → 200", "2 / 1 → 200"),
        Case("`/auth` is down: 503", AuthUnavailable, "1 / 0 → exception", "1 / 0 → exception", "4 / 0 → exception", "4 / 0 → exception"),
        Case("`/auth` is down, no connection", AuthUnreachable, "1 / 0 → exception", "1 / 0 → exception", "4 / 0 → exception", "4 / 0 → exception"),
        Case("Wrong credentials", WrongCredentials, "1 / 0 → exception", "1 / 0 → exception", "1 / 0 → exception", "1 / 0 → exception"),
    ];

    /// <summary>The figures of the table: token requests / API calls → what the caller gets.</summary>
    [TestCaseSource(nameof(Scenarios))]
    public async Task A_call_costs_what_the_document_says(string name, Action<StandInServer> scenario, string[] expected)
    {
        var measured = new List<string>();
        foreach (Place place in Enum.GetValues<Place>())
        {
            Measurement m = await MeasureAsync(scenario, place);
            measured.Add($"{m.TokenRequests} / {m.ApiRequests} → {m.Result}");
        }

        Assert.That(measured, Is.EqualTo(expected), string.Join(", ", Enum.GetNames<Place>()));
        Assert.That(Document.Lines("docs/resilience.md"), Does.Contain($"| {name} | {string.Join(" | ", measured)} |"));
    }

    /// <summary>Rule 5.2: outside, without the snippet, wrong credentials are retried: in vain, though without a token request.</summary>
    [TestCase(Place.Outside, 3)]
    [TestCase(Place.OutsideWithSnippet, 0)]
    public async Task Wrong_credentials_are_retried_outside_unless_the_snippet_says_otherwise(Place place, int retries)
    {
        Measurement m = await MeasureAsync(WrongCredentials, place);

        Assert.That((m.Retries, m.TokenRequests), Is.EqualTo((retries, 1)), "retries, token requests");
    }

    /// <summary>Rule 5.2: a retry that comes within the backoff fails at once, with the same reason and without a token request.</summary>
    [Test]
    public async Task A_retry_within_the_backoff_makes_no_token_request()
    {
        Measurement m = await MeasureAsync(AuthUnavailable, Place.OutsideWithSnippet, options => options.MinFailureBackoff = TimeSpan.FromMinutes(1));

        Assert.That((m.Retries, m.TokenRequests, m.ApiRequests), Is.EqualTo((3, 1, 0)), "retries, token requests, API calls");
    }

    /// <summary>Rule 4.3: the next call of an API that rejects every token costs no token request.</summary>
    [TestCase(Place.None)]
    [TestCase(Place.Inside)]
    [TestCase(Place.Outside)]
    [TestCase(Place.OutsideWithSnippet)]
    public async Task Further_calls_of_an_API_that_rejects_every_token_make_no_token_request(Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Rejecting(server);
        await using TestApp app = App(server, place, null, static () => { });
        using HttpClient client = app.Client();

        for (int n = 0; n < 3; n++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), $"call {n}");
        }

        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 4)));
    }

    /// <summary>Rule 5.2: whoever calls while there is no token is told why, however many they are; without the snippet a circuit opens.</summary>
    [TestCase(Place.None, typeof(SparkflyAuthenticationException))]
    [TestCase(Place.Inside, typeof(SparkflyAuthenticationException))]
    [TestCase(Place.Outside, typeof(BrokenCircuitException))]
    [TestCase(Place.OutsideWithSnippet, typeof(SparkflyAuthenticationException))]
    public async Task The_hundred_and_first_call_without_a_token_is_still_told_why_unless_a_circuit_outside_has_opened(Place place, Type expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        WrongCredentials(server);
        await using TestApp app = App(server, place, null, static () => { }, retriesTakeTime: false);
        using HttpClient client = app.Client();
        Exception? last = null;
        for (int n = 0; n <= 100; n++)
        {
            last = await Assert.CatchAsync(() => client.GetAsync("offers").WaitAsync(TestApp.Patience));
        }

        Assert.That(last, Is.TypeOf(expected));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    /// <summary>Rule 4.4 holds for the handler's own second send, and for a retry inside; a retry outside has the caller's own body.</summary>
    [TestCase(Place.Inside, "200")]
    [TestCase(Place.Outside, nameof(HttpRequestException))]
    public async Task A_one_way_stream_is_sent_again_by_a_retry_inside_and_not_by_one_outside(Place place, string expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        UnavailableOnce(server);
        await using TestApp app = App(server, place, null, static () => { });
        using HttpClient client = app.Client();
        using var content = new StreamContent(new OneWayStream(Bodies.Bytes(1000)));
        string result;
        try
        {
            using HttpResponseMessage response = await client.PostAsync("offers", content).WaitAsync(TestApp.Patience);
            result = $"{(int)response.StatusCode}";
        }
        catch (HttpRequestException exception)
        {
            result = exception.GetType().Name;
        }

        Assert.That(result, Is.EqualTo(expected));
    }

    /// <summary>What the document says of the standard handler's defaults.</summary>
    [Test]
    public void The_standard_handlers_defaults_are_what_the_document_says()
    {
        var options = new HttpStandardResilienceOptions();

        Assert.That(options.Retry.MaxRetryAttempts, Is.EqualTo(3));
        Assert.That(options.AttemptTimeout.Timeout, Is.EqualTo(TimeSpan.FromSeconds(10)));
        Assert.That(options.TotalRequestTimeout.Timeout, Is.EqualTo(TimeSpan.FromSeconds(30)));
        Assert.That(new SparkflyAuthOptions().AuthTimeout, Is.EqualTo(TimeSpan.FromSeconds(30)));
    }

    /// <summary>The snippet of the document is the code that the other tests run.</summary>
    [Test]
    public void The_document_shows_the_snippet_that_is_tested()
    {
        string snippet = Document.Snippet("test/Sparkfly.Auth.Handler.Tests/ResilienceHandlerTests.cs", "snippet");

        Assert.That(snippet.Split('\n'), Has.Length.GreaterThan(4));
        Assert.That(string.Join('\n', Document.Lines("docs/resilience.md")), Does.Contain($"```csharp\n{snippet}\n```"));
    }

    private static void AddWithSnippet(IHttpClientBuilder client)
    {
        // <snippet>
        client.AddStandardResilienceHandler(options =>
        {
            // A token that cannot be had now may be had later, if IsTransient says so; wrong credentials stay wrong.
            var shouldRetry = options.Retry.ShouldHandle;
            options.Retry.ShouldHandle = arguments => arguments.Outcome.Exception is SparkflyAuthenticationException failure
                ? ValueTask.FromResult(failure.IsTransient)
                : shouldRetry(arguments);

            // The handler has a backoff of its own, and its exception says why there is no token: an open circuit would hide that.
            var shouldCount = options.CircuitBreaker.ShouldHandle;
            options.CircuitBreaker.ShouldHandle = arguments => arguments.Outcome.Exception is SparkflyAuthenticationException
                ? ValueTask.FromResult(false)
                : shouldCount(arguments);
        });
        client.AddSparkflyAuthHandler();
        // </snippet>
    }

    private static void Cold(StandInServer server)
    {
    }

    private static void Revoked(StandInServer server) => server.OnApiRequest = Once(server, static (s, _) => s.RevokeTokens());

    private static void Rejecting(StandInServer server) => server.OnApiRequest = Answer(StatusCodes.Status401Unauthorized);

    private static void UnavailableOnce(StandInServer server) => server.OnApiRequest = Answer(StatusCodes.Status503ServiceUnavailable, times: 1);

    private static void Unavailable(StandInServer server) => server.OnApiRequest = Answer(StatusCodes.Status503ServiceUnavailable);

    private static void RevokedAndUnavailableOnce(StandInServer server) => server.OnApiRequest = Once(server, static (s, _) =>
    {
        s.RevokeTokens();
        s.OnApiRequest = Answer(StatusCodes.Status503ServiceUnavailable, times: 1);
    });

    private static void AuthUnavailableOnce(StandInServer server) => server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable, times: 1);

    private static void AuthUnavailable(StandInServer server) => server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable);

    private static void AuthUnreachable(StandInServer server) => server.OnTokenRequest = static context =>
    {
        context.Abort();
        return Task.FromResult(true);
    };

    private static void WrongCredentials(StandInServer server) => server.OnTokenRequest = Answer(StatusCodes.Status401Unauthorized);

    private static TestCaseData Case(string name, Action<StandInServer> scenario, params string[] expected) =>
        new TestCaseData(name, scenario, expected).SetArgDisplayNames(name);

    private static Func<HttpContext, Task<bool>> Answer(int status, int times = int.MaxValue) => context =>
    {
        if (Interlocked.Decrement(ref times) < 0)
        {
            return Task.FromResult(false);
        }

        context.Response.StatusCode = status;
        return Task.FromResult(true);
    };

    /// <summary>Does something before the first request is answered as usual.</summary>
    private static Func<HttpContext, Task<bool>> Once(StandInServer server, Action<StandInServer, HttpContext> act)
    {
        int times = 0;
        return context =>
        {
            if (Interlocked.Increment(ref times) == 1)
            {
                act(server, context);
            }

            return Task.FromResult(false);
        };
    }

    private static async Task<Measurement> MeasureAsync(Action<StandInServer> scenario, Place place, Action<SparkflyAuthOptions>? configure = null)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        scenario(server);
        int retries = 0;
        await using TestApp app = App(server, place, configure, () => retries++);
        using HttpClient client = app.Client();
        string result;
        try
        {
            using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
            result = $"{(int)response.StatusCode}";
        }
        catch (SparkflyAuthenticationException)
        {
            result = "exception";
        }

        return new Measurement(server.TokenRequests, server.ApiRequests, retries, result);
    }

    private static TestApp App(StandInServer server, Place place, Action<SparkflyAuthOptions>? configure, Action onRetry, bool retriesTakeTime = true)
    {
        FakeTimeProvider? time = null;
        TestApp app = new(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.Use(server);
                configure?.Invoke(options);
            });
            IHttpClientBuilder client = services.AddHttpClient("api");
            switch (place)
            {
                case Place.None:
                    client.AddSparkflyAuthHandler();
                    break;
                case Place.Inside:
                    client.AddSparkflyAuthHandler().AddStandardResilienceHandler();
                    break;
                case Place.Outside:
                    client.AddStandardResilienceHandler();
                    client.AddSparkflyAuthHandler();
                    break;
                case Place.OutsideWithSnippet:
                    AddWithSnippet(client);
                    break;
            }

            // Its own delays, without the jitter, pass on the fake clock at once.
            services.PostConfigureAll<HttpStandardResilienceOptions>(options =>
            {
                options.Retry.UseJitter = false;
                options.Retry.DelayGenerator = arguments =>
                {
                    onRetry();
                    if (retriesTakeTime)
                    {
                        time!.Advance(options.Retry.Delay * Math.Pow(2, arguments.AttemptNumber));
                    }

                    return ValueTask.FromResult<TimeSpan?>(TimeSpan.Zero);
                };
            });
        });
        time = app.Time;
        return app;
    }

    private sealed record Measurement(int TokenRequests, int ApiRequests, int Retries, string Result);
}
