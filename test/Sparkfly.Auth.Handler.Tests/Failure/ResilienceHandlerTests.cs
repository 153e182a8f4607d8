using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Time.Testing;
using Polly;
using Polly.CircuitBreaker;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rules 4.1, 4.3, 5.2 and 5.6 beside the platform's standard resilience handler: what each scenario costs in token requests and API calls,
/// and what the caller gets. docs/resilience.md shows these figures, and the pipeline of an application's own that is tested here.
/// </summary>
public class ResilienceHandlerTests
{
    /// <summary>The resilience handler in the client's pipeline.</summary>
    public enum Resilience
    {
        None,
        Default,
        WithRules,
        Own,
    }

    /// <summary>When it is added. It is above our handler either way.</summary>
    public enum Added
    {
        BeforeOurs,
        AfterOurs,
    }

    private static TestCaseData[] Scenarios =>
    [
        Case("The first call, cold", Cold, "1 / 1 → 200", "1 / 1 → 200", "1 / 1 → 200"),
        Case("The token was revoked", Revoked, "2 / 2 → 200", "2 / 2 → 200", "2 / 2 → 200"),
        Case("The API answers 401 to every token", Rejecting, "2 / 2 → 401", "2 / 2 → 401", "2 / 2 → 401"),
        Case("The API answers 503 once", UnavailableOnce, "1 / 1 → 503", "1 / 2 → 200", "1 / 2 → 200"),
        Case("The API is down: 503", Unavailable, "1 / 1 → 503", "1 / 4 → 503", "1 / 4 → 503"),
        Case("The token was revoked, and the API answers 503 once after that", RevokedAndUnavailableOnce, "2 / 2 → 503", "2 / 3 → 200", "2 / 3 → 200"),
        Case("`/auth` answers 503 once", AuthUnavailableOnce, "1 / 0 → exception", "2 / 1 → 200", "2 / 1 → 200"),
        Case("`/auth` is down: 503", AuthUnavailable, "1 / 0 → exception", "4 / 0 → exception", "4 / 0 → exception"),
        Case("`/auth` breaks every connection", AuthBroken, "2 / 0 → exception", "8 / 0 → exception", "8 / 0 → exception"),
        Case("Wrong credentials", WrongCredentials, "1 / 0 → exception", "1 / 0 → exception", "1 / 0 → exception"),
    ];

    /// <summary>The figures of the table: token requests / API calls → what the caller gets.</summary>
    [TestCaseSource(nameof(Scenarios))]
    public async Task A_call_costs_what_the_document_says_wherever_the_resilience_handler_is_added(
        string name, Action<StandInServer> scenario, string[] expected)
    {
        Dictionary<Added, List<string>> measured = new() { [Added.BeforeOurs] = [], [Added.AfterOurs] = [] };
        foreach (Resilience resilience in (Resilience[])[Resilience.None, Resilience.Default, Resilience.WithRules])
        {
            foreach ((Added added, List<string> figures) in measured)
            {
                Measurement m = await MeasureAsync(scenario, resilience, added);
                figures.Add($"{m.TokenRequests} / {m.ApiRequests} → {m.Result}");
            }
        }

        Assert.That(measured[Added.BeforeOurs], Is.EqualTo(expected), string.Join(", ", Enum.GetNames<Resilience>()));
        Assert.That(measured[Added.AfterOurs], Is.EqualTo(expected), string.Join(", ", Enum.GetNames<Resilience>()));
        Assert.That(Document.Lines("docs/resilience.md"), Does.Contain($"| {name} | {string.Join(" | ", expected)} |"));
    }

    /// <summary>Rule 5.2: with its defaults it retries wrong credentials: in vain, though without a token request.</summary>
    [Test]
    public async Task Wrong_credentials_are_retried_unless_the_rules_say_otherwise([Values] Added added)
    {
        Measurement byDefault = await MeasureAsync(WrongCredentials, Resilience.Default, added);
        Measurement withRules = await MeasureAsync(WrongCredentials, Resilience.WithRules, added);

        Assert.That((byDefault.Retries, byDefault.TokenRequests), Is.EqualTo((3, 1)), "retries, token requests");
        Assert.That((withRules.Retries, withRules.TokenRequests), Is.EqualTo((0, 1)), "retries, token requests");
    }

    /// <summary>Rule 5.2: a retry that comes within the backoff fails at once, with the same reason and without a token request.</summary>
    [Test]
    public async Task A_retry_within_the_backoff_makes_no_token_request([Values] Added added)
    {
        // The retries end after 14 seconds.
        Measurement m = await MeasureAsync(AuthUnavailable, Resilience.WithRules, added, options => options.MinFailureBackoff = TimeSpan.FromSeconds(20));

        Assert.That((m.Retries, m.TokenRequests, m.ApiRequests), Is.EqualTo((3, 1, 0)), "retries, token requests, API calls");
    }

    /// <summary>Rule 4.3: the next call of an API that rejects every token costs no token request.</summary>
    [Test]
    public async Task Further_calls_of_an_API_that_rejects_every_token_make_no_token_request([Values] Resilience resilience, [Values] Added added)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Rejecting(server);
        await using TestApp app = App(server, resilience, added, null, static () => { });
        using HttpClient client = app.Client();

        for (int n = 0; n < 3; n++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), $"call {n}");
        }

        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 4)));
    }

    /// <summary>Rule 5.2: every caller is told why there is no token; without the rules a circuit opens, which hides it.</summary>
    [TestCase(Resilience.None, typeof(SparkflyAuthenticationException))]
    [TestCase(Resilience.Default, typeof(BrokenCircuitException))]
    [TestCase(Resilience.WithRules, typeof(SparkflyAuthenticationException))]
    [TestCase(Resilience.Own, typeof(SparkflyAuthenticationException))]
    public async Task The_hundred_and_first_call_without_a_token_is_still_told_why_unless_a_circuit_has_opened(Resilience resilience, Type expected)
    {
        foreach (Added added in Enum.GetValues<Added>())
        {
            await using StandInServer server = await Sparkfly.StartAsync();
            WrongCredentials(server);
            await using TestApp app = App(server, resilience, added, null, static () => { }, retriesTakeTime: false);
            using HttpClient client = app.Client();
            Exception? last = null;
            for (int n = 0; n <= 100; n++)
            {
                last = await Assert.CatchAsync(() => client.GetAsync("offers").WaitAsync(TestApp.Patience));
            }

            Assert.That(last, Is.TypeOf(expected), $"{added}");
            Assert.That(server.TokenRequests, Is.EqualTo(1), $"{added}");
        }
    }

    /// <summary>Rules 4.4 and 6.3: what is kept of a body serves our own second send. A retry starts from the caller's own body.</summary>
    [TestCase("stream", "HttpRequestException", 1)]
    [TestCase("lazy JSON", "200", 2)]
    [TestCase("text", "200", 2)]
    public async Task A_retry_sends_the_callers_own_body_wherever_it_is_added(string kind, string expected, int requests)
    {
        foreach (Added added in Enum.GetValues<Added>())
        {
            await using StandInServer server = await Sparkfly.StartAsync();
            ConcurrentQueue<Seen> seen = server.RecordAndBeUnavailableOnce();
            await using TestApp app = App(server, Resilience.Default, added, null, static () => { });
            using HttpClient client = app.Client();
            using HttpContent content = kind switch
            {
                "stream" => new StreamContent(new OneWayStream(Bodies.Bytes(1000))),
                "lazy JSON" => JsonContent.Create(new Once<int>([1, 2, 3])),
                _ => new StringContent("[1,2,3]"),
            };
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

            Assert.That(result, Is.EqualTo(expected), $"{added}");
            Assert.That(seen, Has.Count.EqualTo(requests), $"{added}");
            if (requests == 2)
            {
                // A sequence that is empty the second time is so for every retry, with our handler and without.
                Assert.That(seen.Select(static s => s.Text()), Is.EqualTo((string[])["[1,2,3]", kind == "text" ? "[1,2,3]" : "[]"]), $"{added}");
            }
        }
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

    /// <summary>Rule 5.2, in a pipeline of the application's own, as the document shows it.</summary>
    [Test]
    public async Task The_documents_own_pipeline_does_not_retry_wrong_credentials()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        WrongCredentials(server);
        int attempts = 0;
        await using TestApp app = server.App(client: client =>
        {
            AddOwn(client);
            client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
            {
                attempts++;
                return send(request);
            }));
        });
        using HttpClient client = app.Client();

        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That((attempts, server.TokenRequests), Is.EqualTo((1, 1)), "attempts, token requests");
    }

    /// <summary>The snippet of the document is the code that the other tests run.</summary>
    [Test]
    public void The_document_shows_the_pipeline_that_is_tested()
    {
        string snippet = Document.Snippet("test/Sparkfly.Auth.Handler.Tests/Failure/ResilienceHandlerTests.cs", "snippet");

        const string usings = "using Microsoft.Extensions.Http.Resilience;\nusing Polly;";
        Assert.That(snippet.Split('\n'), Has.Length.GreaterThan(4));
        Assert.That(string.Join('\n', Document.Lines("docs/resilience.md")), Does.Contain($"```csharp\n{usings}\n\n{snippet}\n```"));
    }

    private static void AddOwn(IHttpClientBuilder client)
    {
        // <snippet>
        client.AddResilienceHandler("mine", pipeline => pipeline
            .AddRetry(new HttpRetryStrategyOptions
            {
                // Retry only a transient failure to get a token. Wrong credentials stay wrong.
                ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome.Exception is SparkflyAuthenticationException failure
                    ? failure.IsTransient
                    : HttpClientResiliencePredicates.IsTransient(arguments.Outcome)),
            })
            .AddCircuitBreaker(new HttpCircuitBreakerStrategyOptions
            {
                // An open circuit would hide the reason that the exception gives.
                ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome.Exception is not SparkflyAuthenticationException
                    && HttpClientResiliencePredicates.IsTransient(arguments.Outcome)),
            }));
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

    private static void AuthBroken(StandInServer server) => server.OnTokenRequest = static context =>
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

    private static async Task<Measurement> MeasureAsync(
        Action<StandInServer> scenario, Resilience resilience, Added added, Action<SparkflyAuthOptions>? configure = null)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        scenario(server);
        int retries = 0;
        await using TestApp app = App(server, resilience, added, configure, () => retries++);
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

    private static TestApp App(
        StandInServer server, Resilience resilience, Added added, Action<SparkflyAuthOptions>? configure, Action onRetry, bool retriesTakeTime = true)
    {
        FakeTimeProvider? time = null;
        TestApp app = new(services =>
        {
            SparkflyAuthBuilder account = services.AddSparkflyAuth(options =>
            {
                options.Use(server);
                configure?.Invoke(options);
            });
            IHttpClientBuilder client = services.AddHttpClient("api");
            if (added == Added.AfterOurs)
            {
                client.AddSparkflyAuthHandler();
            }

            switch (resilience)
            {
                case Resilience.Default:
                    client.AddStandardResilienceHandler();
                    break;
                case Resilience.WithRules:
                    client.AddStandardResilienceHandler();
                    account.AddResilienceRules();
                    break;
                case Resilience.Own:
                    AddOwn(client);
                    break;
            }

            if (added == Added.BeforeOurs)
            {
                client.AddSparkflyAuthHandler();
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
