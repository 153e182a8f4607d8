using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Getting the token while the host starts.</summary>
public class WarmUpTests
{
    private readonly InMemorySparkfly _sparkfly = new();
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly ConcurrentQueue<string> _log = new();

    private IEnumerable<string> Warnings => _log.Where(static e => e.StartsWith("[Warning] Sparkfly.Auth.Handler[40]", StringComparison.Ordinal));

    [Test]
    public async Task The_token_is_there_before_any_service_has_started()
    {
        int atItsStart = -1;
        using IHost host = Build(
            static builder => builder.WarmUpOnStart(),
            before: services => services.AddSingleton<IHostedService>(new AtStart(() => atItsStart = _sparkfly.TokenRequests.Value)));

        await StartAsync(host);

        Assert.That(atItsStart, Is.EqualTo(1));
        Assert.That(host.Services.GetRequiredService<ISparkflyTokenProvider>().GetTokenAsync().AsTask().IsCompletedSuccessfully);
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
        Assert.That(Warnings, Is.Empty);
    }

    [Test]
    public async Task The_first_token_request_is_traced_and_measured_by_OpenTelemetry([Values] bool isTelemetryFirst, [Values] bool isConcurrent)
    {
        using Activity start = new Activity("start").Start();
        var activities = new Activities(start.TraceId);
        var metrics = new Metrics();
        void AddTelemetry(IServiceCollection services) => services.AddOpenTelemetry()
            .WithTracing(tracing => tracing.AddSource("Sparkfly.Auth.Handler").AddProcessor(activities))
            .WithMetrics(metering => metering.AddMeter("Sparkfly.Auth.Handler").AddReader(new BaseExportingMetricReader(metrics)));
        using IHost host = Build(
            builder =>
            {
                if (!isTelemetryFirst)
                {
                    AddTelemetry(builder.Services);
                }

                builder.WarmUpOnStart();
            },
            before: services =>
            {
                services.Configure<HostOptions>(options => options.ServicesStartConcurrently = isConcurrent);
                if (isTelemetryFirst)
                {
                    AddTelemetry(services);
                }
            });

        await StartAsync(host);
        host.Services.GetRequiredService<MeterProvider>().ForceFlush();

        Assert.That(activities.Names, Is.EqualTo((string[])["sparkfly.auth.token.request"]));
        Assert.That(metrics.Names, Does.Contain("sparkfly.auth.token.request.duration"));
        await host.StopAsync();
    }

    [Test]
    public async Task A_server_takes_no_request_before_the_token_is_there()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(static kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        builder.Logging.AddProvider(SecretSweep.LoggerProvider());
        _sparkfly.AddAccount(builder.Services, "");
        builder.Services.AddSparkflyAuth(static _ => { }).WarmUpOnStart();
        builder.Services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);
        await using WebApplication app = builder.Build();
        app.Run(async context =>
        {
            using HttpClient client = context.RequestServices.GetRequiredService<IHttpClientFactory>().CreateClient("api");
            using HttpResponseMessage response = await client.GetAsync("offers");
            context.Response.StatusCode = (int)response.StatusCode;
        });

        Gate gate = _sparkfly.HoldTokenRequests();
        Task starting = app.StartAsync();
        await _sparkfly.TokenRequests.Reaches(1);
        Assert.That(app.Urls, Is.Empty, "addresses that it listens at");
        Assert.That(starting.IsCompleted, Is.False);
        gate.Open();
        await starting.WaitAsync(TestApp.Patience);

        using var caller = new HttpClient();
        using HttpResponseMessage response = await caller.GetAsync(app.Urls.Single());
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Where_there_is_no_token_the_host_starts_with_a_warning()
    {
        _sparkfly.Fail();
        using IHost host = Build(static builder => builder.WarmUpOnStart());

        await StartAsync(host);

        Assert.That(Warnings.Single(), Does.Contain("503 (ServiceUnavailable)"));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Where_it_is_required_the_start_fails_with_the_reason_and_no_service_is_started()
    {
        bool hasStarted = false;
        _sparkfly.Fail(HttpStatusCode.Unauthorized);
        using IHost host = Build(
            static builder => builder.WarmUpOnStart(required: true),
            before: services => services.AddSingleton<IHostedService>(new AtStart(() => hasStarted = true)));

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => host.StartAsync());

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(hasStarted, Is.False);
        Assert.That(Warnings, Is.Empty);
    }

    [Test]
    public async Task The_start_waits_for_the_timeout_and_no_longer([Values] bool required)
    {
        Gate gate = _sparkfly.HoldTokenRequests();
        using IHost host = Build(builder => builder.WarmUpOnStart(required, TimeSpan.FromSeconds(5)));
        Task starting = host.StartAsync();
        await _sparkfly.TokenRequests.Reaches(1);

        _time.Advance(TimeSpan.FromSeconds(4.999));
        Assert.That(starting.IsCompleted, Is.False);
        _time.Advance(TimeSpan.FromSeconds(0.001));

        if (required)
        {
            Assert.That((await Thrown.By<TimeoutException>(() => starting)).Message, Does.Contain("00:00:05"));
        }
        else
        {
            await starting.WaitAsync(TestApp.Patience);
            Assert.That(Warnings.Single(), Does.Contain("00:00:05"));
        }

        gate.Open();
        await host.Services.GetRequiredService<ISparkflyTokenProvider>().GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "the token request goes on");
    }

    [Test]
    public async Task Without_a_timeout_the_start_waits_as_long_as_the_token_request_takes()
    {
        _sparkfly.HoldTokenRequests(heedsCancellation: false);
        using IHost host = Build(static builder => builder.WarmUpOnStart());
        Task starting = host.StartAsync();
        await _sparkfly.TokenRequests.Reaches(1);

        _time.Advance(new SparkflyAuthOptions().AuthTimeout);
        await starting.WaitAsync(TestApp.Patience);

        Assert.That(Warnings.Single(), Does.Contain("was not answered within AuthTimeout"));
    }

    [Test]
    public async Task Accounts_are_warmed_up_side_by_side()
    {
        var other = new InMemorySparkfly();
        Gate[] gates = [_sparkfly.HoldTokenRequests(), other.HoldTokenRequests()];
        using IHost host = Build(static builder => builder.WarmUpOnStart(), before: services =>
        {
            other.AddAccount(services, "other");
            services.AddSparkflyAuth("other", static _ => { }).WarmUpOnStart();
        });

        Task starting = host.StartAsync();
        await _sparkfly.TokenRequests.Reaches(1);
        await other.TokenRequests.Reaches(1);
        Assert.That(starting.IsCompleted, Is.False);
        Array.ForEach(gates, static gate => gate.Open());
        await starting.WaitAsync(TestApp.Patience);

        Assert.That(host.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("other").GetTokenAsync().AsTask().IsCompletedSuccessfully);
    }

    [Test]
    public async Task Cancelling_the_start_ends_it_at_once_and_is_no_warning([Values] bool required)
    {
        Gate gate = _sparkfly.HoldTokenRequests();
        using IHost host = Build(builder => builder.WarmUpOnStart(required, TimeSpan.FromMinutes(1)));
        using var cancellation = new CancellationTokenSource();
        Task starting = host.StartAsync(cancellation.Token);
        await _sparkfly.TokenRequests.Reaches(1);

        await cancellation.CancelAsync();

        Assert.That(async () => await starting.WaitAsync(TestApp.Patience), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Warnings, Is.Empty);
        gate.Open();
    }

    [TestCase(false, true)]
    [TestCase(true, false)]
    public async Task Called_twice_it_is_done_once_as_the_later_call_says(bool earlier, bool later)
    {
        _sparkfly.Fail();
        using IHost host = Build(builder => Assert.That(builder.WarmUpOnStart(earlier).WarmUpOnStart(later), Is.SameAs(builder)));

        if (later)
        {
            await Thrown.By<SparkflyAuthenticationException>(() => host.StartAsync());
        }
        else
        {
            await StartAsync(host);
        }

        Assert.That(host.Services.GetServices<IHostedService>().OfType<WarmUpService>().Count(), Is.EqualTo(1));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Invalid_options_stop_the_host_before_a_token_is_asked_for()
    {
        using IHost host = Build(static builder => builder.WarmUpOnStart(), options => options.Key = "");

        OptionsValidationException exception = await Thrown.By<OptionsValidationException>(() => host.StartAsync());

        Assert.That(exception.Message, Does.Contain("Key"));
        Assert.That(_sparkfly.TokenRequests.Value, Is.Zero);
    }

    [Test]
    public async Task In_a_fleet_the_token_comes_from_the_fleet()
    {
        var cache = new SharedCache();
        await using var fleet = new Fleet(_sparkfly, cache);
        SparkflyToken token = await fleet.Add().GetTokenAsync();
        using IHost host = Build(static builder => builder.UseDistributedCache().WarmUpOnStart(required: true), before: services =>
            services.AddSingleton<IDistributedCache>(cache).AddSingleton<TimeProvider>(new FleetClock()));

        await StartAsync(host);

        Assert.That((await host.Services.GetRequiredService<ISparkflyTokenProvider>().GetTokenAsync()).Value, Is.EqualTo(token.Value));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task A_provider_of_the_application_s_own_is_asked_whatever_it_does([Values] bool required)
    {
        using IHost host = Build(
            builder => builder.WarmUpOnStart(required), after: static services => services.AddSingleton<ISparkflyTokenProvider>(new BrokenTokens()));

        if (required)
        {
            await Thrown.By<NotSupportedException>(() => host.StartAsync());
        }
        else
        {
            await StartAsync(host);
            Assert.That(Warnings.Single(), Does.Contain("not today"));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.Zero);
    }

    [Test]
    public async Task Without_a_host_the_token_is_fetched_on_first_use()
    {
        await using TestApp app = _sparkfly.App(register: static services => services.AddSparkflyAuth(static _ => { }).WarmUpOnStart(required: true));
        Assert.That(_sparkfly.TokenRequests.Value, Is.Zero);

        await app.Tokens.GetTokenAsync();

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [TestCase(0)]
    [TestCase(-1)]
    [TestCase((24 * 60 * 60 * 1000) + 1)]
    public void A_timeout_that_is_not_more_than_zero_or_more_than_a_day_is_refused(int milliseconds)
    {
        SparkflyAuthBuilder builder = new ServiceCollection().AddSparkflyAuth(static _ => { });

        Assert.Throws<ArgumentOutOfRangeException>(() => builder.WarmUpOnStart(timeout: TimeSpan.FromMilliseconds(milliseconds)));
    }

    private static Task StartAsync(IHost host) => host.StartAsync().WaitAsync(TestApp.Patience);

    private IHost Build(
        Action<SparkflyAuthBuilder> warmUp,
        Action<SparkflyAuthOptions>? configure = null,
        Action<IServiceCollection>? before = null,
        Action<IServiceCollection>? after = null) => HostedApp.Build(services =>
        {
            services.AddLogging(logging => logging.AddProvider(new SecretSweep.Provider(_log.Enqueue)));
            services.AddSingleton<TimeProvider>(_time);
            before?.Invoke(services);
            _sparkfly.AddAccount(services, "");
            warmUp(services.AddSparkflyAuth(configure ?? (static _ => { })));
            after?.Invoke(services);
        });

    /// <summary>A service of the application's that notes when it is started.</summary>
    // Hears every container of the process.
    private sealed class Activities(ActivityTraceId trace) : BaseProcessor<Activity>
    {
        public ConcurrentQueue<string> Names { get; } = [];

        public override void OnEnd(Activity data)
        {
            if (data.TraceId == trace)
            {
                Names.Enqueue(data.OperationName);
            }
        }
    }

    private sealed class Metrics : BaseExporter<Metric>
    {
        public ConcurrentQueue<string> Names { get; } = [];

        public override ExportResult Export(in Batch<Metric> batch)
        {
            foreach (Metric metric in batch)
            {
                Names.Enqueue(metric.Name);
            }

            return ExportResult.Success;
        }
    }

    private sealed class AtStart(Action note) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            note();
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class BrokenTokens : ISparkflyTokenProvider
    {
        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) => throw new NotSupportedException("not today");

        public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default) => new(rejected);
    }
}
