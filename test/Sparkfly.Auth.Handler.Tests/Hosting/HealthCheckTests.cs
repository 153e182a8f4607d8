using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The health check of an account.</summary>
public class HealthCheckTests
{
    private readonly InMemorySparkfly _sparkfly = new();

    [Test]
    public async Task With_a_good_token_it_is_healthy_and_asks_for_none()
    {
        await using TestApp app = App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();

        for (int i = 0; i < 10; i++)
        {
            HealthReportEntry entry = await CheckAsync(app);

            Assert.That(entry.Status, Is.EqualTo(HealthStatus.Healthy));
            Assert.That(entry.Description, Is.EqualTo("Sparkfly has a token, which is used until 2026-01-01 23:55:00Z."));
            Assert.That(entry.Data, Is.EquivalentTo(new Dictionary<string, object> { ["account"] = "", ["usedUntil"] = token.ExpiresAt }));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Without_a_token_it_asks_for_one_with_which_requests_go_on()
    {
        await using TestApp app = App();

        HealthReportEntry entry = await CheckAsync(app);
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(entry.Status, Is.EqualTo(HealthStatus.Healthy));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task While_renewing_fails_and_the_token_lives_it_is_degraded_and_keeps_to_the_backoff()
    {
        await using TestApp app = App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        _sparkfly.Fail();
        Gate gate = _sparkfly.HoldTokenRequests();
        app.Time.SetUtcNow(token.ExpiresAt - TimeSpan.FromMinutes(1));
        DateTimeOffset failedAt = app.Time.GetUtcNow();

        Assert.That((await CheckAsync(app)).Status, Is.EqualTo(HealthStatus.Healthy), "it starts the renewal that is due");
        gate.Open();
        await Failed(app, 1);

        for (int i = 0; i < 10; i++)
        {
            HealthReportEntry entry = await CheckAsync(app);

            Assert.That(entry.Status, Is.EqualTo(HealthStatus.Degraded));
            Assert.That(entry.Description, Does.StartWith("Sparkfly has a token").And.Contain("503 (ServiceUnavailable)"));
            Assert.That(entry.Description, Does.Contain("fails since 2026-01-01 23:54:00Z"));
            Assert.That(entry.Data["usedUntil"], Is.EqualTo(token.ExpiresAt));
            Assert.That(entry.Data["failingSince"], Is.EqualTo(failedAt));
            Assert.That(entry.Data["failures"], Is.EqualTo(1));
            Assert.That(entry.Data["nextAttempt"], Is.EqualTo(failedAt.AddSeconds(1)));
            Assert.That(entry.Data["reason"], Does.Contain("503 (ServiceUnavailable)"));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "within the backoff");
        app.Time.Advance(TimeSpan.FromSeconds(1));
        await CheckAsync(app);
        await Failed(app, 2);
        HealthReportEntry later = await CheckAsync(app);

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "after it");
        Assert.That(later.Data["failingSince"], Is.EqualTo(failedAt), "the first failure of the row");
        Assert.That(later.Data["failures"], Is.EqualTo(2));

        _sparkfly.Recover();
        app.Time.Advance(TimeSpan.FromSeconds(2));
        await CheckAsync(app);
        await Fleet.Until(() => app.Log.Count(static e => e.Contains("[1] Obtained", StringComparison.Ordinal)) == 2, "the renewal");

        Assert.That((await CheckAsync(app)).Status, Is.EqualTo(HealthStatus.Healthy));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(4));
    }

    [Test]
    public async Task Without_a_token_that_can_be_had_it_is_unhealthy_and_keeps_to_the_backoff()
    {
        await using TestApp app = App();
        _sparkfly.Fail(HttpStatusCode.Unauthorized);

        for (int i = 0; i < 10; i++)
        {
            HealthReportEntry entry = await CheckAsync(app);

            Assert.That(entry.Status, Is.EqualTo(HealthStatus.Unhealthy));
            Assert.That(entry.Description, Does.Contain("The credentials were rejected"));
            Assert.That(entry.Exception, Is.InstanceOf<SparkflyAuthenticationException>());
            Assert.That(entry.Data["failingSince"], Is.EqualTo(app.Time.GetUtcNow()));
            Assert.That(entry.Data["nextAttempt"], Is.EqualTo(app.Time.GetUtcNow().AddMinutes(1)));
            Assert.That(entry.Data["reason"], Does.Contain("The credentials were rejected"));
            Assert.That(entry.Data, Does.Not.ContainKey("usedUntil"));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task A_forced_renewal_that_failed_degrades_it_for_the_backoff_while_the_token_lives()
    {
        await using TestApp app = App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        _sparkfly.Fail();
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(token).AsTask());

        Assert.That((await CheckAsync(app)).Status, Is.EqualTo(HealthStatus.Degraded));
        app.Time.Advance(TimeSpan.FromSeconds(1));

        Assert.That((await CheckAsync(app)).Status, Is.EqualTo(HealthStatus.Healthy), "no renewal is due, and nobody has asked again");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_forced_renewal_that_failed_long_ago_does_not_degrade_it_when_the_token_is_due()
    {
        await using TestApp app = App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        _sparkfly.Fail();
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(token).AsTask());
        app.Time.Advance(TimeSpan.FromDays(1) - TimeSpan.FromMinutes(10));
        Gate gate = _sparkfly.HoldTokenRequests();

        Assert.That((await CheckAsync(app)).Status, Is.EqualTo(HealthStatus.Healthy), "the renewal is on its way");
        await _sparkfly.TokenRequests.Reaches(3);
        DateTimeOffset now = app.Time.GetUtcNow();
        gate.Open();
        await Fleet.Until(() => CheckAsync(app).GetAwaiter().GetResult().Status == HealthStatus.Degraded, "the failure");

        HealthReportEntry failing = await CheckAsync(app);
        Assert.That((failing.Data["failures"], failing.Data["failingSince"]), Is.EqualTo((1, now)), "a row of its own");
    }

    [Test]
    public async Task Its_timeout_ends_its_wait_and_not_the_token_request()
    {
        Gate gate = _sparkfly.HoldTokenRequests();
        await using TestApp app = App(static checks => checks.AddSparkflyAuth(timeout: TimeSpan.FromMilliseconds(50)));

        Assert.That((await CheckAsync(app)).Status, Is.EqualTo(HealthStatus.Unhealthy));
        gate.Open();
        await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task It_is_registered_as_the_platform_s_own_are()
    {
        await using TestApp app = App(static checks => checks
            .AddSparkflyAuth()
            .AddSparkflyAuth("brand")
            .AddSparkflyAuth("brand", "the brand's", HealthStatus.Degraded, ["ready"], TimeSpan.FromSeconds(5)));

        HealthCheckRegistration[] registered = [.. app.Services.GetRequiredService<IOptions<HealthCheckServiceOptions>>().Value.Registrations];

        Assert.That(registered.Select(static r => r.Name), Is.EqualTo((string[])["sparkfly", "sparkfly:brand", "the brand's"]));
        Assert.That((registered[0].FailureStatus, registered[2].FailureStatus), Is.EqualTo((HealthStatus.Unhealthy, HealthStatus.Degraded)));
        Assert.That(registered[0].Tags, Is.Empty);
        Assert.That(registered[0].Timeout, Is.EqualTo(Timeout.InfiniteTimeSpan));
        Assert.That(registered[2].Tags, Is.EquivalentTo((string[])["ready"]));
        Assert.That(registered[2].Timeout, Is.EqualTo(TimeSpan.FromSeconds(5)));
    }

    [Test]
    public async Task Each_account_has_a_check_of_its_own()
    {
        var other = new InMemorySparkfly();
        other.Fail();
        await using var app = new TestApp(services =>
        {
            // Before the accounts: the order does not matter.
            services.AddHealthChecks().AddSparkflyAuth().AddSparkflyAuth("other", failureStatus: HealthStatus.Degraded);
            _sparkfly.AddAccount(services, "");
            other.AddAccount(services, "other");
        });

        HealthReport report = await ReportAsync(app.Services);

        Assert.That(report.Entries["sparkfly"].Status, Is.EqualTo(HealthStatus.Healthy));
        Assert.That(report.Entries["sparkfly:other"].Status, Is.EqualTo(HealthStatus.Degraded), "as the registration says");
        Assert.That(report.Entries["sparkfly:other"].Description, Does.StartWith("Sparkfly account 'other': No token"));
        Assert.That(report.Entries["sparkfly:other"].Data["account"], Is.EqualTo("other"));
    }

    [Test]
    public async Task Of_a_provider_of_the_application_s_own_it_tells_whether_it_gives_a_token()
    {
        var ours = new FixedTokens();
        var retryAt = new DateTimeOffset(2026, 1, 1, 0, 1, 0, TimeSpan.Zero);
        await using TestApp healthy = App(services: services => services.AddSingleton<ISparkflyTokenProvider>(ours));
        await using TestApp unhealthy = App(services: services => services.AddSingleton<ISparkflyTokenProvider>(
            new FailingTokens(new SparkflyAuthenticationException("the vault is sealed") { RetryAt = retryAt })));
        await using TestApp broken = App(services: static services => services.AddSingleton<ISparkflyTokenProvider>(
            new FailingTokens(new NotSupportedException("not today"))));

        HealthReportEntry ofHealthy = await CheckAsync(healthy);
        HealthReportEntry ofUnhealthy = await CheckAsync(unhealthy);
        HealthReportEntry ofBroken = await CheckAsync(broken);

        Assert.That((ofHealthy.Status, ofHealthy.Data["usedUntil"]), Is.EqualTo((HealthStatus.Healthy, ours.Token.ExpiresAt)));
        Assert.That((ofUnhealthy.Status, ofUnhealthy.Description), Is.EqualTo((HealthStatus.Unhealthy, "the vault is sealed")));
        Assert.That(ofUnhealthy.Data["nextAttempt"], Is.EqualTo(retryAt));
        Assert.That((ofBroken.Status, ofBroken.Description), Is.EqualTo((HealthStatus.Unhealthy, "not today")));
        Assert.That(_sparkfly.TokenRequests.Value, Is.Zero);
    }

    [Test]
    public async Task An_account_that_is_not_registered_stops_the_host_by_name()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddHealthChecks().AddSparkflyAuth("brnad");
        });

        Assert.That(exception.Message, Does.Contain("The health check 'sparkfly:brnad'").And.Contain("'brnad' is not registered"));
    }

    [Test]
    public async Task Without_any_account_it_stops_the_host_and_says_what_is_missing()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            static services => services.AddHealthChecks().AddSparkflyAuth());

        Assert.That(exception.Message, Does.Contain("The health check 'sparkfly'").And.Contain("The default Sparkfly account is not registered"));
    }

    [Test]
    public async Task Without_a_host_the_check_of_an_account_that_is_not_registered_says_so()
    {
        await using TestApp app = App(static checks => checks.AddSparkflyAuth("brnad"));

        HealthReportEntry entry = await CheckAsync(app);

        Assert.That(entry.Status, Is.EqualTo(HealthStatus.Unhealthy));
        Assert.That(entry.Description, Does.Contain("'brnad' is not registered"));
    }

    [Test]
    public async Task An_ASP_NET_Core_application_answers_its_probes_with_it()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(static kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        builder.Logging.ClearProviders().SetMinimumLevel(LogLevel.Trace).AddProvider(SecretSweep.LoggerProvider());
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        builder.Services.AddSingleton<TimeProvider>(time);
        _sparkfly.AddAccount(builder.Services, "");
        builder.Services.AddHealthChecks().AddSparkflyAuth(tags: ["ready"]);
        await using WebApplication app = builder.Build();
        app.MapHealthChecks("/healthz/ready", new() { Predicate = static check => check.Tags.Contains("ready") });
        app.MapHealthChecks("/healthz/live", new() { Predicate = static _ => false });
        await app.StartAsync();
        using var probe = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
        var tokens = app.Services.GetRequiredService<ISparkflyTokenProvider>();

        _sparkfly.Fail();
        Assert.That(await ProbeAsync("live"), Is.EqualTo("OK Healthy"));
        Assert.That(_sparkfly.TokenRequests.Value, Is.Zero, "a probe without the check asks for nothing");
        Assert.That(await ProbeAsync("ready"), Is.EqualTo("ServiceUnavailable Unhealthy"));

        _sparkfly.Recover();
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.That(await ProbeAsync("ready"), Is.EqualTo("OK Healthy"));

        _sparkfly.Fail();
        await Thrown.By<SparkflyAuthenticationException>(async () => await tokens.RenewTokenAsync(await tokens.GetTokenAsync()));
        Assert.That(await ProbeAsync("ready"), Is.EqualTo("OK Degraded"));

        async Task<string> ProbeAsync(string path)
        {
            using HttpResponseMessage response = await probe.GetAsync($"healthz/{path}");
            return $"{response.StatusCode} {await response.Content.ReadAsStringAsync()}";
        }
    }

    [Test]
    public void Arguments_of_null_are_refused()
    {
        Assert.Throws<ArgumentNullException>(static () => ((IHealthChecksBuilder)null!).AddSparkflyAuth());
        Assert.Throws<ArgumentNullException>(static () => new ServiceCollection().AddHealthChecks().AddSparkflyAuth(null!));
    }

    private TestApp App(Action<IHealthChecksBuilder>? checks = null, Action<IServiceCollection>? services = null) => _sparkfly.App(register: all =>
    {
        (checks ?? (static c => c.AddSparkflyAuth()))(all.AddHealthChecks());
        services?.Invoke(all);
    });

    private static async Task<HealthReportEntry> CheckAsync(TestApp app) => (await ReportAsync(app.Services)).Entries.Values.Single();

    /// <summary>What is reported is swept for secrets.</summary>
    private static async Task<HealthReport> ReportAsync(IServiceProvider services)
    {
        HealthReport report = await services.GetRequiredService<HealthCheckService>().CheckHealthAsync().WaitAsync(TestApp.Patience);
        foreach ((string name, HealthReportEntry entry) in report.Entries)
        {
            SecretSweep.Note($"{name} {entry.Description} {string.Join(' ', entry.Data)} {entry.Exception}");
        }

        return report;
    }

    /// <summary>Waits for a renewal in the background that fails.</summary>
    private static Task Failed(TestApp app, int times) =>
        Fleet.Until(() => app.Log.Count(static e => e.Contains("[2] No token", StringComparison.Ordinal)) == times, "the renewal in the background");

    private sealed class FailingTokens(Exception exception) : ISparkflyTokenProvider
    {
        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) => throw exception;

        public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default) => throw exception;
    }
}
