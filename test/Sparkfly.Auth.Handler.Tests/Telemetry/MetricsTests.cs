using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 8: what is counted and timed.</summary>
public class MetricsTests
{
    private const string Duration = "sparkfly.auth.token.request.duration";
    private const string Unauthorized = "sparkfly.auth.unauthorized";

    [TestCase(null, "success")]
    [TestCase(HttpStatusCode.Unauthorized, "rejected")]
    [TestCase(HttpStatusCode.Forbidden, "rejected")]
    [TestCase(HttpStatusCode.NotAcceptable, "failed")]
    [TestCase(HttpStatusCode.ServiceUnavailable, "failed")]
    [TestCase(HttpStatusCode.OK, "failed", Description = "without a token")]
    public async Task A_POST_is_timed_by_its_outcome(HttpStatusCode? status, string outcome)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using MetricCollector<double> durations = Durations(app);
        if (status is { } failure)
        {
            sparkfly.Fail(failure);
        }

        Gate gate = sparkfly.HoldTokenRequests();
        Task<SparkflyToken> token = app.Tokens.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        app.Time.Advance(TimeSpan.FromSeconds(2.5));
        gate.Open();
        await Ended(token);

        CollectedMeasurement<double> measured = durations.GetMeasurementSnapshot().Single();
        Assert.That(measured.Value, Is.EqualTo(2.5));
        Assert.That(measured.Tags, Is.EqualTo(new Dictionary<string, object?> { ["outcome"] = outcome }));
    }

    [Test]
    public async Task A_POST_that_is_not_answered_is_timed_as_failed()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using MetricCollector<double> durations = Durations(app);

        sparkfly.HoldTokenRequests(heedsCancellation: false);
        Task<SparkflyToken> token = app.Tokens.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        app.Time.Advance(new SparkflyAuthOptions().AuthTimeout);
        await Ended(token);

        Assert.That(Outcomes(durations), Is.EqualTo("failed after 30 s"));
    }

    [Test]
    public async Task Each_home_of_auth_that_is_asked_is_timed()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.OnTokenRequest = static (request, _) => Task.FromResult(
            request.RequestUri!.AbsolutePath == "/auth" ? null : InMemorySparkfly.Status(HttpStatusCode.NotFound));
        await using TestApp app = sparkfly.App();
        using MetricCollector<double> durations = Durations(app);

        await app.Tokens.GetTokenAsync();

        Assert.That(Outcomes(durations), Is.EqualTo("failed after 0 s, success after 0 s"));
    }

    [Test]
    public async Task A_token_of_the_fleet_is_not_timed_since_there_was_no_POST()
    {
        var sparkfly = new InMemorySparkfly();
        await using var fleet = new Fleet(sparkfly, new SharedCache());
        Instance one = fleet.Add();
        Instance two = fleet.Add();
        using MetricCollector<double> ofOne = Durations(one.App);
        using MetricCollector<double> ofTwo = Durations(two.App);

        await one.GetTokenAsync();
        await two.GetTokenAsync();

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
        Assert.That(Outcomes(ofOne), Is.EqualTo("success after 0 s"));
        Assert.That(Outcomes(ofTwo), Is.Empty);
    }

    [Test]
    public async Task A_token_of_the_memory_cache_is_not_timed_since_there_was_no_POST()
    {
        var sparkfly = new InMemorySparkfly();
        using var cache = new MemoryCache(new MemoryCacheOptions());
        await using TestApp one = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));
        await using TestApp two = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));
        using MetricCollector<double> ofTwo = Durations(two);

        SparkflyToken first = await one.Tokens.GetTokenAsync();
        SparkflyToken second = await two.Tokens.GetTokenAsync();

        Assert.That(second, Is.SameAs(first));
        Assert.That(Outcomes(ofTwo), Is.Empty);
    }

    [Test]
    public async Task A_POST_that_disposing_ends_is_not_timed_since_it_came_to_nothing()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using MetricCollector<double> durations = Durations(app);
        using var disposing = new CancellationTokenSource();
        AccountSettings settings = app.Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings;

        sparkfly.HoldTokenRequests();
        var client = new SparkflyAuthClient(
            SparkflyAuthClient.ClientName(""),
            app.Services.GetRequiredService<IHttpClientFactory>(),
            app.Services.GetRequiredService<AuthEndpoints>(),
            app.Services.GetRequiredService<SparkflyMetrics>(),
            app.Time);
        Task<TokenResponse> asking = client.ObtainAsync(new TokenRequest(settings, null), disposing.Token);
        await sparkfly.TokenRequests.Reaches(1);
        await disposing.CancelAsync();

        Assert.That(await asking.WaitAsync(TestApp.Patience), Is.SameAs(TokenResponse.Disposed));
        Assert.That(Outcomes(durations), Is.Empty);
    }

    [Test]
    public async Task A_request_with_a_good_token_is_not_measured([Values] bool isAsync)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using MetricCollector<double> durations = Durations(app);
        using MetricCollector<long> unauthorized = Counts(app);

        for (int i = 0; i < 5; i++)
        {
            await CallAsync(app, isAsync);
        }

        Assert.That(Outcomes(durations), Is.EqualTo("success after 0 s"));
        Assert.That(Actions(unauthorized), Is.Empty);
    }

    [Test]
    public async Task A_401_that_is_got_over_counts_as_replayed([Values] bool isAsync)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using MetricCollector<long> unauthorized = Counts(app);
        await CallAsync(app, isAsync);
        sparkfly.Revoke();

        Assert.That(await CallAsync(app, isAsync), Is.EqualTo(HttpStatusCode.OK));

        CollectedMeasurement<long> counted = unauthorized.GetMeasurementSnapshot().Single();
        Assert.That(counted.Value, Is.EqualTo(1));
        Assert.That(counted.Tags, Is.EqualTo(new Dictionary<string, object?> { ["action"] = "replayed" }));
    }

    [Test]
    public async Task Every_401_of_an_endpoint_that_refuses_all_tokens_is_counted([Values] bool isAsync)
    {
        var sparkfly = new InMemorySparkfly { OnApiRequest = Refuse };
        await using TestApp app = sparkfly.App();
        using MetricCollector<long> unauthorized = Counts(app);

        await CallAsync(app, isAsync);
        await CallAsync(app, isAsync);

        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(3));
        Assert.That(Actions(unauthorized), Is.EqualTo("replayed, passed_through, passed_through"), "the second call's within the interval");
    }

    [Test]
    public async Task A_fleets_rejected_token_counts_with_each_401_of_the_one_call()
    {
        var sparkfly = new InMemorySparkfly();
        await using var fleet = new Fleet(sparkfly, new SharedCache());
        Instance one = fleet.Add();
        Instance two = fleet.Add();
        SparkflyToken held = await one.GetTokenAsync();
        await two.GetTokenAsync();
        fleet.Advance(TimeSpan.FromMinutes(1));
        await one.RenewTokenAsync(held);
        fleet.Advance(TimeSpan.FromMinutes(1));
        sparkfly.Revoke();
        using MetricCollector<long> unauthorized = Counts(two.App);

        Assert.That(await two.CallAsync(), Is.EqualTo(HttpStatusCode.OK));

        Assert.That(Actions(unauthorized), Is.EqualTo("replayed, replayed"));
    }

    [Test]
    public async Task A_401_counts_as_passed_through_where_RetryOnUnauthorized_is_off()
    {
        var sparkfly = new InMemorySparkfly { OnApiRequest = Refuse };
        await using TestApp app = sparkfly.App(static options => options.RetryOnUnauthorized = false);
        using MetricCollector<long> unauthorized = Counts(app);

        await CallAsync(app, isAsync: true);

        Assert.That(Actions(unauthorized), Is.EqualTo("passed_through"));
    }

    [Test]
    public async Task A_401_counts_as_passed_through_where_the_body_cannot_be_sent_again()
    {
        var sparkfly = new InMemorySparkfly
        {
            // A body of which nothing was read could be sent.
            OnApiRequest = static async (request, cancellationToken) =>
            {
                await request.Content!.CopyToAsync(Stream.Null, cancellationToken);
                return InMemorySparkfly.Status(HttpStatusCode.Unauthorized);
            },
        };
        await using TestApp app = sparkfly.App(static options => options.MaxReplayBodySize = 0);
        using MetricCollector<long> unauthorized = Counts(app);
        using HttpClient client = app.Client();

        (await client.PostAsync("offers", System.Net.Http.Json.JsonContent.Create("text"))).Dispose();

        Assert.That(Actions(unauthorized), Is.EqualTo("passed_through"));
    }

    [Test]
    public async Task A_401_counts_as_passed_through_where_the_renewal_fails([Values] bool isAsync)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using MetricCollector<long> unauthorized = Counts(app);
        await CallAsync(app, isAsync);
        sparkfly.Revoke();
        sparkfly.Fail();

        await Thrown.By<SparkflyAuthenticationException>(() => CallAsync(app, isAsync));

        Assert.That(Actions(unauthorized), Is.EqualTo("passed_through"));
    }

    [TestCase("https://elsewhere.test/offers", Description = "another origin")]
    [TestCase("https://sparkfly.test/v1.0/auth", Description = "the auth endpoint")]
    public async Task A_401_of_anything_else_than_the_accounts_API_is_not_counted(string address)
    {
        var sparkfly = new InMemorySparkfly { OnApiRequest = Refuse };
        await using TestApp app = sparkfly.App();
        using MetricCollector<long> unauthorized = Counts(app);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync(address);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(Actions(unauthorized), Is.Empty);
    }

    [Test]
    public async Task A_401_of_another_origin_that_a_redirect_led_to_is_not_counted()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.OnApiRequest = static (request, _) =>
        {
            HttpResponseMessage response = InMemorySparkfly.Status(
                request.RequestUri!.Host == "sparkfly.test" ? HttpStatusCode.Redirect : HttpStatusCode.Unauthorized);
            response.Headers.Location = new Uri("https://elsewhere.test/");
            return Task.FromResult<HttpResponseMessage?>(response);
        };

        await using TestApp app = sparkfly.App(
            client: static client => client.AddHttpMessageHandler(static () => new RedirectingHandler(Following.Copy)));
        using MetricCollector<long> unauthorized = Counts(app);

        Assert.That(await CallAsync(app, isAsync: true), Is.EqualTo(HttpStatusCode.Unauthorized));

        Assert.That(Actions(unauthorized), Is.Empty);
    }

    [Test]
    public async Task Nobody_waits_for_ever_where_a_listener_throws()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        IMeterFactory scope = app.Services.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, own) =>
        {
            if (instrument.Meter.Scope == scope && instrument.Name == Duration)
            {
                own.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<double>(static (_, _, _, _) => throw new NotSupportedException("a listener's mistake"));
        listener.Start();

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain(nameof(NotSupportedException)));
    }

    [Test]
    public async Task The_instruments_have_units_and_the_platforms_buckets()
    {
        await using TestApp app = new InMemorySparkfly().App();
        using MetricCollector<double> durations = Durations(app);
        using MetricCollector<long> unauthorized = Counts(app);
        await app.Tokens.GetTokenAsync();

        Assert.That(durations.Instrument!.Unit, Is.EqualTo("s"));
        Assert.That(unauthorized.Instrument!.Unit, Is.EqualTo("{response}"));
        Assert.That(
            ((Histogram<double>)durations.Instrument).Advice!.HistogramBucketBoundaries,
            Is.EqualTo(new[] { 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10 }));
    }

    private static Task<HttpResponseMessage?> Refuse(HttpRequestMessage request, CancellationToken cancellationToken) =>
        Task.FromResult<HttpResponseMessage?>(InMemorySparkfly.Status(HttpStatusCode.Unauthorized));

    private static MetricCollector<double> Durations(TestApp app) =>
        new(app.Services.GetRequiredService<IMeterFactory>(), "Sparkfly.Auth.Handler", Duration);

    private static MetricCollector<long> Counts(TestApp app) =>
        new(app.Services.GetRequiredService<IMeterFactory>(), "Sparkfly.Auth.Handler", Unauthorized);

    private static string Outcomes(MetricCollector<double> durations) => string.Join(
        ", ", durations.GetMeasurementSnapshot().Select(static m => $"{m.Tags["outcome"]} after {m.Value.ToString(CultureInfo.InvariantCulture)} s"));

    private static string Actions(MetricCollector<long> unauthorized) =>
        string.Join(", ", unauthorized.GetMeasurementSnapshot().Select(static m => m.Tags["action"]));

    private static async Task<HttpStatusCode> CallAsync(TestApp app, bool isAsync)
    {
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);
        return response.StatusCode;
    }

    /// <summary>Waits for the end, whichever it is.</summary>
    private static async Task Ended(Task task) => await task.WaitAsync(TestApp.Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
