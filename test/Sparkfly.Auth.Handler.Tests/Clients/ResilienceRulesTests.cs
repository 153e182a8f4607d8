using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using Moq;
using Polly;
using Polly.CircuitBreaker;
using Polly.Hedging;
using Polly.Retry;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// <c>AddResilienceRules</c>: the platform's standard handlers retry or hedge a <see cref="SparkflyAuthenticationException"/> only if it is transient,
/// and never count one as a failure in a circuit breaker. What else they do stays.
/// </summary>
public class ResilienceRulesTests
{
    /// <summary>More than the circuit breaker needs to open: 100 within 30 seconds.</summary>
    private const int Calls = 200;

    /// <summary>How the application adds a standard handler to its client.</summary>
    public enum Place
    {
        Client,
        ClientWithLambda,
        ClientWithSection,
        Defaults,
        DefaultsWithLambda,
    }

    public enum Standard
    {
        Resilience,
        Hedging,
    }

    [Test]
    public async Task Wrong_credentials_fail_at_once_and_open_no_circuit_wherever_the_standard_handler_is_added(
        [Values] Standard standard, [Values] Place place, [Values] bool areRulesFirst)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status401Unauthorized);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, place, areRulesFirst);
        using HttpClient client = app.Client();

        var failures = new List<Exception>();
        for (int n = 0; n < Calls; n++)
        {
            failures.Add(await Assert.CatchAsync(() => client.GetAsync("offers").WaitAsync(TestApp.Patience)));
        }

        Assert.That(failures.Select(static f => f.GetType()), Is.All.EqualTo(typeof(SparkflyAuthenticationException)));
        Assert.That((attempts.Count, server.TokenRequests, server.ApiRequests), Is.EqualTo((Calls, 1, 0)), "attempts, token requests, API requests");
    }

    [Test]
    public async Task A_transient_failure_is_retried_or_hedged_wherever_the_standard_handler_is_added(
        [Values] Standard standard, [Values] Place place, [Values] bool areRulesFirst)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable, times: 1);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, place, areRulesFirst, static services => services.LetPausesPass());
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That((attempts.Count, server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 2, 1)), "attempts, token requests, API requests");
    }

    [Test]
    public async Task Transient_failures_open_no_circuit([Values] Standard standard)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, Place.Defaults, more: static services => services.LetPausesPass(TimeSpan.Zero));
        using HttpClient client = app.Client();

        for (int n = 0; n < Calls / 2; n++)
        {
            await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
        }

        Assert.That(attempts.Count, Is.EqualTo(Calls / 2 * AttemptsOf(standard)));
        Assert.That(server.TokenRequests, Is.EqualTo(1), "all within the backoff");
    }

    [Test]
    public async Task A_503_of_the_API_is_still_retried_or_hedged_and_still_opens_the_circuit([Values] Standard standard)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = Answer(StatusCodes.Status503ServiceUnavailable);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, Place.Defaults, more: static services => services.LetPausesPass(TimeSpan.Zero));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That((attempts.Count, server.ApiRequests), Is.EqualTo((AttemptsOf(standard), AttemptsOf(standard))), "attempts, API requests");

        Exception? last = null;
        for (int n = 0; n < Calls && last is null; n++)
        {
            try
            {
                (await client.GetAsync("offers").WaitAsync(TestApp.Patience)).Dispose();
            }
            catch (BrokenCircuitException exception)
            {
                last = exception;
            }
        }

        Assert.That(last, Is.TypeOf<BrokenCircuitException>());
    }

    [Test]
    public async Task A_synchronous_send_fails_at_once_too_and_retries_what_is_transient()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status401Unauthorized);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, Standard.Resilience, Place.Defaults, more: static services => services.LetPausesPass());
        using HttpClient client = app.Client();

        for (int n = 0; n < Calls; n++)
        {
            await Thrown.By<SparkflyAuthenticationException>(() => client.GetAs(Sending.Sync, "offers"));
        }

        Assert.That((attempts.Count, server.TokenRequests), Is.EqualTo((Calls, 1)), "attempts, token requests");

        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable, times: 1);
        app.Time.Advance(TimeSpan.FromMinutes(1));
        using HttpResponseMessage response = await client.GetAs(Sending.Sync, "offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That((attempts.Count, server.TokenRequests), Is.EqualTo((Calls + 2, 3)), "attempts, token requests");
    }

    /// <summary>The rules only exclude failures: a predicate of the application's own that handles less, or other things, holds.</summary>
    [Test]
    public async Task A_predicate_of_the_application_decides_on_everything_else([Values] Standard standard, [Values] bool isPostConfigured)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = Answer(StatusCodes.Status404NotFound, times: 1);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, Place.Client, isPostConfigured ? false : null, services =>
        {
            services.LetPausesPass();
            if (isPostConfigured)
            {
                services.PostConfigureAll<HttpStandardResilienceOptions>(static options => options.Retry.ShouldHandle = IsNotFound);
                services.PostConfigureAll<HttpStandardHedgingResilienceOptions>(static options => options.Hedging.ShouldHandle = IsNotFound);
            }
            else
            {
                services.ConfigureAll<HttpStandardResilienceOptions>(static options => options.Retry.ShouldHandle = IsNotFound);
                services.ConfigureAll<HttpStandardHedgingResilienceOptions>(static options => options.Hedging.ShouldHandle = IsNotFound);
            }
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage notFoundOnce = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        Assert.That(notFoundOnce.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(attempts.Count, Is.EqualTo(2));

        server.OnApiRequest = Answer(StatusCodes.Status503ServiceUnavailable);
        using HttpResponseMessage unavailable = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        Assert.That(unavailable.StatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That(attempts.Count, Is.EqualTo(3), "the application's predicate does not handle a 503");

        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable);
        app.Time.Advance(TimeSpan.FromDays(1));
        SparkflyAuthenticationException failure = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
        Assert.That(failure.IsTransient);
        Assert.That(attempts.Count, Is.EqualTo(4), "nor a transient failure");
    }

    [Test]
    public async Task Methods_that_the_application_does_not_retry_are_not_retried()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, Standard.Resilience, Place.Client, more: static services => services
            .LetPausesPass()
            .ConfigureAll<HttpStandardResilienceOptions>(static options => options.Retry.DisableForUnsafeHttpMethods()));
        using HttpClient client = app.Client();

        await Thrown.By<SparkflyAuthenticationException>(() => client.PostAsync("offers", null));
        Assert.That(attempts.Count, Is.EqualTo(1), "POST");
        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
        Assert.That(attempts.Count, Is.EqualTo(5), "GET");
    }

    [Test]
    public async Task A_later_PostConfigure_of_the_application_wins_also_where_a_second_account_adds_the_rules_again([Values] Standard standard)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status401Unauthorized);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, Place.Client, areRulesFirst: true, services =>
        {
            services.LetPausesPass(TimeSpan.Zero);
            services.PostConfigureAll<HttpStandardResilienceOptions>(static options => options.Retry.ShouldHandle = static _ => ValueTask.FromResult(true));
            services.PostConfigureAll<HttpStandardHedgingResilienceOptions>(
                static options => options.Hedging.ShouldHandle = static _ => ValueTask.FromResult(true));
            services.AddSparkflyAuth("tacos", options => options.Use(server)).AddResilienceRules();
        });
        using HttpClient client = app.Client();

        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That((attempts.Count, server.TokenRequests), Is.EqualTo((AttemptsOf(standard), 1)), "attempts, token requests");
    }

    [Test]
    public void Several_accounts_add_the_rules_once()
    {
        var services = new ServiceCollection();
        SparkflyAuthBuilder builder = services.AddSparkflyAuth(static _ => { });

        Assert.That(builder.AddResilienceRules(), Is.SameAs(builder));
        services.AddSparkflyAuth("tacos", static _ => { }).AddResilienceRules();

        Assert.That(services.Count(static d => d.ServiceType == typeof(IPostConfigureOptions<HttpStandardResilienceOptions>)), Is.EqualTo(1));
        Assert.That(services.Count(static d => d.ServiceType == typeof(IPostConfigureOptions<HttpStandardHedgingResilienceOptions>)), Is.EqualTo(1));
    }

    /// <summary>From a provider of the application's own, which tells no <c>RetryAt</c>.</summary>
    [Test]
    public async Task IsTransient_decides_where_the_next_token_request_is_not_known([Values] Standard standard, [Values] bool isTransient)
    {
        var tokens = new Mock<ISparkflyTokenProvider>();
        tokens.Setup(static t => t.GetTokenAsync(It.IsAny<CancellationToken>()))
            .Returns(() => ValueTask.FromException<SparkflyToken>(new SparkflyAuthenticationException("No token.") { IsTransient = isTransient }));
        await using StandInServer server = await Sparkfly.StartAsync();
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, Place.Defaults, areRulesFirst: true, services => services
            .LetPausesPass(TimeSpan.Zero)
            .AddSingleton(tokens.Object));
        using HttpClient client = app.Client();

        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(attempts.Count, Is.EqualTo(isTransient ? AttemptsOf(standard) : 1));
    }

    [Test]
    public async Task A_failure_that_is_not_transient_is_not_retried_or_hedged_however_soon_the_next_token_request_is_allowed([Values] Standard standard)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status400BadRequest);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, standard, Place.Defaults, more: static services => services.LetPausesPass());
        using HttpClient client = app.Client();

        SparkflyAuthenticationException failure = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(failure.RetryAt, Is.EqualTo(app.Time.GetUtcNow().AddSeconds(1)));
        Assert.That((attempts.Count, server.TokenRequests), Is.EqualTo((1, 1)), "attempts, token requests");
    }

    /// <summary>Until <c>RetryAt</c> a retry gets the same exception. Where the call has ended by then, the caller need not wait for it.</summary>
    [TestCase(29, null, 4, Description = "the call may still succeed")]
    [TestCase(31, null, 1, Description = "the default total timeout is 30 seconds")]
    [TestCase(31, 60, 4, Description = "a PostConfigure after the rules gives the call more time")]
    [TestCase(61, 60, 1)]
    public async Task A_transient_failure_is_not_retried_where_the_next_token_request_is_later_than_the_call_may_last(
        int retryAfter, int? totalTimeout, int expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable, retryAfter: retryAfter);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, Standard.Resilience, Place.Client, areRulesFirst: true, services =>
        {
            services.LetPausesPass(TimeSpan.Zero);
            if (totalTimeout is { } seconds)
            {
                services.PostConfigureAll<HttpStandardResilienceOptions>(options => options.TotalRequestTimeout.Timeout = TimeSpan.FromSeconds(seconds));
            }
        });
        using HttpClient client = app.Client();

        SparkflyAuthenticationException failure = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(failure.RetryAt, Is.EqualTo(app.Time.GetUtcNow().AddSeconds(retryAfter)));
        Assert.That((attempts.Count, server.TokenRequests), Is.EqualTo((expected, 1)), "attempts, token requests");
    }

    [Test]
    public async Task A_total_timeout_that_the_application_generates_may_be_long_enough()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status503ServiceUnavailable, retryAfter: 120);
        var attempts = new Attempts();
        await using TestApp app = App(server, attempts, Standard.Resilience, Place.Client, more: static services => services
            .LetPausesPass(TimeSpan.Zero)
            .ConfigureAll<HttpStandardResilienceOptions>(
                static options => options.TotalRequestTimeout.TimeoutGenerator = static _ => ValueTask.FromResult(TimeSpan.FromMinutes(10))));
        using HttpClient client = app.Client();

        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(attempts.Count, Is.EqualTo(4));
    }

    [Test]
    public async Task The_rules_hold_after_the_settings_of_the_standard_handler_are_reloaded()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var attempts = new Attempts();
        IConfigurationRoot settings = Configured.From(("Resilience:Retry:MaxRetryAttempts", "3"));
        await using var app = new TestApp(services =>
        {
            IHttpClientBuilder client = services.AddHttpClient("api");
            client.AddStandardResilienceHandler(settings.GetSection("Resilience"));
            client.AddHttpMessageHandler(attempts.NewHandler).AddSparkflyAuthHandler();
            services.AddSparkflyAuth(options => options.Use(server)).AddResilienceRules();
            services.LetPausesPass(TimeSpan.Zero);
        });
        using HttpClient client = app.Client();
        server.OnApiRequest = Answer(StatusCodes.Status503ServiceUnavailable);
        (await client.GetAsync("offers").WaitAsync(TestApp.Patience)).Dispose();
        Assert.That(attempts.Count, Is.EqualTo(4));

        settings["Resilience:Retry:MaxRetryAttempts"] = "1";
        settings.Reload();
        (await client.GetAsync("offers").WaitAsync(TestApp.Patience)).Dispose();
        Assert.That(attempts.Count, Is.EqualTo(6), "the new settings hold");

        server.OnTokenRequest = Answer(StatusCodes.Status401Unauthorized);
        app.Time.Advance(TimeSpan.FromDays(1));
        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
        Assert.That(attempts.Count, Is.EqualTo(7));
    }

    /// <summary>Its options are not the standard handler's: docs/resilience.md shows what to write there.</summary>
    [Test]
    public async Task A_pipeline_of_the_applications_own_is_not_changed()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(StatusCodes.Status401Unauthorized);
        var attempts = new Attempts();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(server)).AddResilienceRules();
            IHttpClientBuilder client = services.AddHttpClient("api");
            client.AddResilienceHandler("mine", static pipeline => pipeline.AddRetry(new HttpRetryStrategyOptions { Delay = TimeSpan.Zero }));
            client.AddHttpMessageHandler(attempts.NewHandler).AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();

        await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That((attempts.Count, server.TokenRequests), Is.EqualTo((4, 1)), "attempts, token requests");
    }

    [Test]
    public async Task A_predicate_that_is_missing_is_still_an_error_of_the_options([Values] Standard standard)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = App(server, new Attempts(), standard, Place.Client, more: static services =>
        {
            services.ConfigureAll<HttpStandardResilienceOptions>(static options => options.Retry.ShouldHandle = null!);
            services.ConfigureAll<HttpStandardHedgingResilienceOptions>(static options => options.Hedging.ShouldHandle = null!);
        });

        OptionsValidationException? exception = Assert.Throws<OptionsValidationException>(() =>
        {
            using HttpClient client = app.Client();
            client.GetAsync("offers").WaitAsync(TestApp.Patience).GetAwaiter().GetResult();
        });

        Assert.That(exception!.Message, Does.Contain("ShouldHandle"));
    }

    private static ValueTask<bool> IsNotFound(RetryPredicateArguments<HttpResponseMessage> arguments) =>
        ValueTask.FromResult(arguments.Outcome.Result?.StatusCode == HttpStatusCode.NotFound);

    private static ValueTask<bool> IsNotFound(HedgingPredicateArguments<HttpResponseMessage> arguments) =>
        ValueTask.FromResult(arguments.Outcome.Result?.StatusCode == HttpStatusCode.NotFound);

    /// <summary>With the defaults: the first one and three retries, or the first one and one hedge.</summary>
    private static int AttemptsOf(Standard standard) => standard == Standard.Resilience ? 4 : 2;

    private static Func<HttpContext, Task<bool>> Answer(int status, int times = int.MaxValue, int? retryAfter = null) => context =>
    {
        if (Interlocked.Decrement(ref times) < 0)
        {
            return Task.FromResult(false);
        }

        context.Response.StatusCode = status;
        if (retryAfter is not null)
        {
            context.Response.Headers.RetryAfter = $"{retryAfter}";
        }

        return Task.FromResult(true);
    };

    private static TestApp App(
        StandInServer server, Attempts attempts, Standard standard, Place place, bool? areRulesFirst = null, Action<IServiceCollection>? more = null) =>
        new(services =>
        {
            if (areRulesFirst == true)
            {
                services.AddSparkflyAuth(options => options.Use(server)).AddResilienceRules();
            }

            if (place is Place.Defaults or Place.DefaultsWithLambda)
            {
                services.ConfigureHttpClientDefaults(client => Add(client, standard, place));
            }

            IHttpClientBuilder api = services.AddHttpClient("api");
            if (place is not (Place.Defaults or Place.DefaultsWithLambda))
            {
                Add(api, standard, place);
            }

            api.AddHttpMessageHandler(attempts.NewHandler).AddSparkflyAuthHandler();
            more?.Invoke(services);
            if (areRulesFirst != true)
            {
                services.AddSparkflyAuth(options => options.Use(server)).AddResilienceRules();
            }
        });

    private static void Add(IHttpClientBuilder client, Standard standard, Place place)
    {
        // Some settings that change nothing here.
        IConfigurationSection settings = Configured.From(("Resilience:TotalRequestTimeout:Timeout", "00:00:30")).GetSection("Resilience");
        _ = (standard, place) switch
        {
            (Standard.Resilience, Place.ClientWithLambda or Place.DefaultsWithLambda) =>
                (object)client.AddStandardResilienceHandler(static options => options.Retry.MaxRetryAttempts = 3),
            (Standard.Resilience, Place.ClientWithSection) => client.AddStandardResilienceHandler(settings),
            (Standard.Resilience, _) => client.AddStandardResilienceHandler(),
            (_, Place.ClientWithLambda or Place.DefaultsWithLambda) =>
                client.AddStandardHedgingHandler().Configure(static options => options.Hedging.MaxHedgedAttempts = 1),
            (_, Place.ClientWithSection) => client.AddStandardHedgingHandler().Configure(settings),
            _ => client.AddStandardHedgingHandler(),
        };
    }

    /// <summary>Counts what the standard handler above it sends.</summary>
    private sealed class Attempts
    {
        private int _count;

        public int Count => Volatile.Read(ref _count);

        public InlineHandler NewHandler() => new InlineHandler((request, send) =>
        {
            Interlocked.Increment(ref _count);
            return send(request);
        });
    }
}

internal static class ResilienceRulesTestsExtensions
{
    /// <summary>Retries and hedges come at once, after this time has passed on the fake clock: by default more than the handler's first backoff.</summary>
    public static IServiceCollection LetPausesPass(this IServiceCollection services, TimeSpan? pause = null)
    {
        services.AddOptions();
        services.AddSingleton<IConfigureOptions<HttpStandardResilienceOptions>>(provider => new ConfigureNamedOptions<HttpStandardResilienceOptions>(
            null,
            options => options.Retry.DelayGenerator = _ =>
            {
                Pass(provider, pause);
                return ValueTask.FromResult<TimeSpan?>(TimeSpan.Zero);
            }));
        services.AddSingleton<IConfigureOptions<HttpStandardHedgingResilienceOptions>>(
            provider => new ConfigureNamedOptions<HttpStandardHedgingResilienceOptions>(
                null,
                options => options.Hedging.OnHedging = _ =>
                {
                    Pass(provider, pause);
                    return ValueTask.CompletedTask;
                }));
        return services;
    }

    private static void Pass(IServiceProvider provider, TimeSpan? pause) =>
        ((FakeTimeProvider)provider.GetRequiredService<TimeProvider>()).Advance(pause ?? TimeSpan.FromSeconds(2));
}
