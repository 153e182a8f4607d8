using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 2, several tenants: accounts that a source finds while the application runs.</summary>
public class AccountSourceTests
{
    private static readonly TimeSpan s_askedAgain = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan s_kept = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_outOfUse = TimeSpan.FromHours(1);

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly Tenants _tenants = new();

    [Test]
    public async Task A_name_that_is_not_registered_is_asked_of_the_source_and_each_tenant_has_a_token_of_its_own()
    {
        _tenants.Add("one");
        _tenants.Add("two");
        await using TestApp app = App();
        using HttpClient client = app.Client();

        string first = await TokenSentAsync(client, "one");
        string second = await TokenSentAsync(client, "two");

        Assert.That(second, Is.Not.EqualTo(first));
        Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(first));
        Assert.That(_tenants.AskedFor, Is.EqualTo("one, two"));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [Test]
    public async Task A_thousand_requests_that_wait_for_one_name_ask_one_question_and_make_one_POST()
    {
        _tenants.Add("one");
        Gate gate = _tenants.Hold();
        await using TestApp app = App(isQuiet: true);
        using HttpClient client = app.Client();

        Task<HttpStatusCode>[] calls = [.. Enumerable.Range(0, 1000).Select(_ => Task.Run(() => CallAsync(client, "one")))];
        await _tenants.Questions.Reaches(1);
        gate.Open();

        Assert.That(await Task.WhenAll(calls), Has.All.EqualTo(HttpStatusCode.OK));
        Assert.That(_tenants.Asked, Has.Count.EqualTo(1), "questions");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public async Task The_source_is_never_asked_for_a_registered_name()
    {
        await using TestApp app = App(services => _sparkfly.AddAccount(services, "registered"));
        using HttpClient client = app.Client();

        Assert.That(await CallAsync(client, "registered"), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await CallAsync(client, null), Is.EqualTo(HttpStatusCode.OK));

        Assert.That(_tenants.Asked, Is.Empty);
    }

    [Test]
    public async Task A_name_that_the_source_does_not_know_is_an_error_that_says_so_and_is_asked_for_again()
    {
        await using TestApp app = App();
        using HttpClient client = app.Client();

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => CallAsync(client, "new"));
        Assert.That(exception.Message, Does.Contain("'new'").And.Contain("ISparkflyAccountSource").And.Contain("Registered: the default account"));
        Assert.That(_sparkfly.ApiRequests.Value, Is.Zero, "requests that left");

        _tenants.Add("new");
        Assert.That(await CallAsync(client, "new"), Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_source_that_fails_is_told_apart_from_an_unknown_name_and_is_asked_again_by_the_next_request()
    {
        _tenants.Add("one");
        var outage = new TimeoutException("The database is away.");
        _tenants.Failure = outage;
        await using TestApp app = App();
        using HttpClient client = app.Client();

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => CallAsync(client, "one"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(exception.InnerException, Is.SameAs(outage));
            Assert.That(exception.Message, Does.Contain("'one'").And.Contain("TimeoutException").And.Not.Contain(outage.Message));
            Assert.That(exception.IsTransient, Is.True, "transient");
            Assert.That(exception.AuthStatusCode, Is.Null, "status");
        }

        _tenants.Failure = null;
        Assert.That(await CallAsync(client, "one"), Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task Each_of_many_that_wait_for_a_source_that_fails_gets_an_exception_of_its_own()
    {
        _tenants.Failure = new TimeoutException();
        Gate gate = _tenants.Hold();
        await using TestApp app = App();
        using HttpClient client = app.Client();
        Task<SparkflyAuthenticationException>[] calls =
            [.. Enumerable.Range(0, 10).Select(_ => Thrown.By<SparkflyAuthenticationException>(() => CallAsync(client, "one")))];
        await _tenants.Questions.Reaches(1);

        gate.Open();

        Assert.That((await Task.WhenAll(calls)).Distinct().Count(), Is.EqualTo(10));
    }

    [Test]
    public async Task Invalid_options_of_a_source_are_listed_to_the_request_by_the_settings_name()
    {
        _tenants.Add("one", static options => (options.Key, options.BaseAddress) = (null, new Uri("http://elsewhere.test/")));
        await using TestApp app = App();
        using HttpClient client = app.Client();

        OptionsValidationException exception = await Thrown.By<OptionsValidationException>(() => CallAsync(client, "one"));

        Assert.That(exception.Failures, Has.Exactly(2).Items.And.All.StartsWith("Sparkfly account 'one': "));
        Assert.That(exception.Message, Does.Contain("Key is required").And.Contain("BaseAddress must be https"));
    }

    [Test]
    public async Task A_found_account_is_not_asked_for_again_for_four_minutes_and_then_in_the_background()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        await CallAsync(client, "one");

        app.Time.Advance(s_askedAgain - TimeSpan.FromTicks(1));
        await CallAsync(client, "one");
        Assert.That(_tenants.Asked, Has.Count.EqualTo(1), "questions within four minutes");

        Gate gate = _tenants.Hold();
        app.Time.Advance(TimeSpan.FromTicks(1));
        Assert.That(await CallAsync(client, "one"), Is.EqualTo(HttpStatusCode.OK), "while the question is held");
        Assert.That(await CallAsync(client, "one"), Is.EqualTo(HttpStatusCode.OK), "while the question is held");
        await _tenants.Questions.Reaches(2);
        gate.Open();
        Assert.That(_tenants.Asked, Has.Count.EqualTo(2), "questions after four minutes");
    }

    [Test]
    public async Task Changes_are_taken_up_within_five_minutes_by_a_tenant_that_calls_and_by_one_that_was_away([Values] bool isAway)
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        string before = await TokenSentAsync(client, "one");
        _tenants.Add("one");

        if (isAway)
        {
            app.Time.Advance(s_kept);
        }
        else
        {
            Gate gate = _tenants.Hold();
            app.Time.Advance(s_askedAgain);
            Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(before), "while it is asked for");
            gate.Open();
            await Fleet.Until(() => app.Log.Any(static e => e.Contains("Handler[10]", StringComparison.Ordinal)), "the change");
        }

        Assert.That(await TokenSentAsync(client, "one"), Is.Not.EqualTo(before));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [Test]
    public async Task An_answer_with_the_same_values_costs_no_token()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        string before = await TokenSentAsync(client, "one");

        for (int asked = 1; asked <= 10; asked++)
        {
            app.Time.Advance(s_kept);
            Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(before));
        }

        Assert.That(_tenants.Asked, Has.Count.EqualTo(11), "questions");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public async Task While_the_source_fails_a_known_account_goes_on_and_the_source_is_asked_twice_a_minute()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        string before = await TokenSentAsync(client, "one");
        _tenants.Failure = new TimeoutException();

        app.Time.Advance(s_outOfUse - TimeSpan.FromMinutes(1));
        Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(before), "when it has waited for the source");
        app.Time.Advance(TimeSpan.FromSeconds(29));
        Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(before));
        Assert.That(_tenants.Asked, Has.Count.EqualTo(2), "questions within half a minute");
        app.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(before));
        await _tenants.Questions.Reaches(3);
        await Fleet.Until(() => app.Log.Count(static e => e.StartsWith("[Warning] Sparkfly.Auth.Handler[12]", StringComparison.Ordinal)) == 2, "warnings");
    }

    [Test]
    public async Task An_account_that_has_become_invalid_goes_on_with_its_last_good_options_and_it_is_logged()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        string before = await TokenSentAsync(client, "one");
        _tenants.Add("one", static options => options.Key = null);

        app.Time.Advance(s_kept);

        Assert.That(await TokenSentAsync(client, "one"), Is.EqualTo(before));
        Assert.That(app.Log.Single(static e => e.StartsWith("[Error] Sparkfly.Auth.Handler[11]", StringComparison.Ordinal)), Does.Contain("Key is required"));
    }

    [Test]
    public async Task An_account_that_the_source_no_longer_knows_is_gone_within_five_minutes()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        await CallAsync(client, "one");
        _tenants.Remove("one");

        app.Time.Advance(s_kept);

        await Thrown.By<InvalidOperationException>(() => CallAsync(client, "one"));
        Assert.That(_sparkfly.ApiRequests.Value, Is.EqualTo(1), "requests that left");
    }

    [Test]
    public async Task A_caller_that_cancels_leaves_alone_and_the_question_goes_on_for_the_next()
    {
        _tenants.Add("one");
        Gate gate = _tenants.Hold();
        await using TestApp app = App();
        using HttpClient client = app.Client();
        using var cancelled = new CancellationTokenSource();
        Task<HttpStatusCode> leaving = CallAsync(client, "one", cancelled.Token);
        await _tenants.Questions.Reaches(1);

        await cancelled.CancelAsync();
        await Thrown.By<TaskCanceledException>(() => leaving);
        Task<HttpStatusCode> staying = CallAsync(client, "one");
        gate.Open();

        Assert.That(await staying, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_tenants.Asked, Has.Count.EqualTo(1), "questions");
    }

    [Test]
    public async Task A_caller_that_has_cancelled_already_asks_nothing()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        SparkflyAccounts accounts = app.Services.GetRequiredService<SparkflyAccounts>();

        await Thrown.By<OperationCanceledException>(() => accounts.GetAsync("one", new CancellationToken(canceled: true)).AsTask());
        await Thrown.By<InvalidOperationException>(() => accounts.GetAsync("two", CancellationToken.None).AsTask());

        Assert.That(_tenants.AskedFor, Is.EqualTo("two"));
    }

    [Test]
    public async Task A_source_that_hangs_is_waited_for_thirty_seconds_whether_it_heeds_its_cancellation_or_not([Values] bool heedsCancellation)
    {
        Gate gate = _tenants.Hold(heedsCancellation);
        await using TestApp app = App();
        using HttpClient client = app.Client();
        Task<SparkflyAuthenticationException> calling = Thrown.By<SparkflyAuthenticationException>(() => CallAsync(client, "one"));
        await _tenants.Questions.Reaches(1);

        app.Time.Advance(TimeSpan.FromSeconds(30) - TimeSpan.FromTicks(1));
        Assert.That(calling.IsCompleted, Is.False);
        app.Time.Advance(TimeSpan.FromTicks(1));

        Assert.That((await calling.WaitAsync(TestApp.Patience)).InnerException, Is.TypeOf<TimeoutException>());
        gate.Open();
    }

    [Test]
    public async Task Disposing_the_container_frees_who_waits_for_the_source()
    {
        Gate gate = _tenants.Hold(heedsCancellation: false);
        TestApp app = App();
        using HttpClient client = app.Client();
        Task<ObjectDisposedException> calling = Thrown.By<ObjectDisposedException>(() => CallAsync(client, "one"));
        await _tenants.Questions.Reaches(1);

        await app.DisposeAsync().AsTask().WaitAsync(TestApp.Patience);

        await calling.WaitAsync(TestApp.Patience);
        gate.Open();
    }

    [Test]
    public async Task What_is_not_used_for_an_hour_is_let_go_and_comes_back_with_the_token_that_the_memory_cache_has()
    {
        _tenants.Add("busy");
        _tenants.Add("idle");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        string before = await TokenSentAsync(client, "idle");
        WeakReference state = StateOf(app, "idle");
        await CallAsync(client, "busy");

        app.Time.Advance(s_outOfUse);
        await CallAsync(client, "busy");
        await Fleet.Until(() => IsCollected(state), "the account of the idle tenant");

        Assert.That(await TokenSentAsync(client, "idle"), Is.EqualTo(before));
        Assert.That(_tenants.AskedFor, Is.EqualTo("idle, busy, busy, idle"));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [Test]
    public async Task Unknown_names_leave_nothing_behind()
    {
        await using TestApp app = App(isQuiet: true);
        using HttpClient client = app.Client();
        for (int i = 0; i < 100; i++)
        {
            await Thrown.By<InvalidOperationException>(() => CallAsync(client, $"unknown {i}"));
        }

        Assert.That(app.Services.GetRequiredService<SourcedAccounts>().Count, Is.Zero);
    }

    [Test]
    public async Task The_backoff_of_an_account_ends_when_the_source_no_longer_knows_it()
    {
        string key = SecretSweep.NewSecret("key");
        void Configure(SparkflyAuthOptions options) => (options.Identity, options.Key) = (_sparkfly.Identity, key);
        _tenants.Add("one", Configure);
        await using TestApp app = App();
        using HttpClient client = app.Client();
        _sparkfly.Fail(retryAfter: "900");
        await Thrown.By<SparkflyAuthenticationException>(() => CallAsync(client, "one"));
        _sparkfly.Recover();
        _tenants.Remove("one");
        app.Time.Advance(s_kept);
        await Thrown.By<InvalidOperationException>(() => CallAsync(client, "one"));

        _tenants.Add("one", Configure);

        Assert.That(await CallAsync(client, "one"), Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_request_that_still_has_an_account_that_was_let_go_ends_as_it_should()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        await CallAsync(client, "one");
        (Task<HttpStatusCode> slow, Gate answer) = await CallSlowlyAsync(client, "one");
        _tenants.Remove("one");
        _sparkfly.Revoke();
        app.Time.Advance(s_kept);
        await Thrown.By<InvalidOperationException>(() => CallAsync(client, "one"));

        answer.Open();

        Assert.That(await slow, Is.EqualTo(HttpStatusCode.OK), "after a 401 and a renewal");
    }

    [Test]
    public async Task A_request_ends_as_it_should_where_its_account_was_given_a_new_key_and_then_let_go()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        await CallAsync(client, "one");
        (Task<HttpStatusCode> slow, Gate answer) = await CallSlowlyAsync(client, "one");

        // Another request has its token before the new key is there, so that nothing has looked at the new one when the account goes.
        _tenants.Add("one");
        Gate question = _tenants.Hold();
        app.Time.Advance(s_askedAgain);
        await CallAsync(client, "one");
        question.Open();
        await Fleet.Until(() => app.Log.Any(static e => e.Contains("Sparkfly.Auth.Handler[10]", StringComparison.Ordinal)), "the new key");
        _tenants.Remove("one");
        _sparkfly.Revoke();
        app.Time.Advance(s_kept);
        await Thrown.By<InvalidOperationException>(() => CallAsync(client, "one"));
        answer.Open();

        Assert.That(await slow, Is.EqualTo(HttpStatusCode.OK), "after a 401 and a renewal");
    }

    [Test]
    public async Task Each_question_has_a_scope_of_its_own_and_sees_nothing_of_the_request()
    {
        _tenants.Add("one");
        _tenants.Add("two");
        await using TestApp app = App();
        using HttpClient client = app.Client();
        Tenants.Ambient.Value = "the request's";

        await CallAsync(client, "one");
        await CallAsync(client, "two");

        Assert.That(_tenants.Scopes, Has.Count.EqualTo(2).And.Unique.And.All.Property("IsDisposed").True);
        Assert.That(_tenants.SeenAmbient, Is.All.Null);
    }

    [Test]
    public async Task Send_asks_the_source_too_without_deadlock_on_a_single_threaded_context()
    {
        _tenants.Add("one");
        await using TestApp app = App();
        using HttpClient client = app.Client();

        HttpStatusCode status = await SingleThread.RunAsync(() =>
        {
            using HttpRequestMessage request = Request("one");
            using HttpResponseMessage response = client.Send(request);
            return response.StatusCode;
        }).WaitAsync(TestApp.Patience);

        Assert.That(status, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_client_whose_own_account_is_not_registered_asks_the_source_for_it_and_the_host_starts()
    {
        _tenants.Add("brand");
        using IHost host = HostedApp.Build(services =>
        {
            AddSource(services);
            services.AddHttpClient("api", static client => client.BaseAddress = new Uri("https://sparkfly.test/v1.0/"))
                .AddSparkflyAuthHandler("brand").ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);
        });
        await host.StartAsync();
        using HttpClient client = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");

        Assert.That(await CallAsync(client, null), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_tenants.AskedFor, Is.EqualTo("brand"));
    }

    [Test]
    public async Task A_tenant_at_another_origin_than_the_requests_is_an_error_that_says_so()
    {
        _tenants.Add("one", static options => options.BaseAddress = new Uri("https://elsewhere.test/v1.0/"));
        await using TestApp app = App();
        using HttpClient client = app.Client();

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => CallAsync(client, "one"));

        Assert.That(exception.Message, Does.Contain("'one'").And.Contain("https://elsewhere.test"));
        Assert.That(_sparkfly.ApiRequests.Value, Is.Zero, "requests that left");
    }

    [Test]
    public async Task The_token_request_of_a_tenant_follows_no_redirect()
    {
        _tenants.Add("one");
        _sparkfly.OnTokenRequest = static (_, _) =>
        {
            HttpResponseMessage redirect = InMemorySparkfly.Status(HttpStatusCode.TemporaryRedirect);
            redirect.Headers.Location = new Uri("https://elsewhere.test/auth");
            return Task.FromResult<HttpResponseMessage?>(redirect);
        };
        await using TestApp app = App();
        using HttpClient client = app.Client();

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => CallAsync(client, "one"));

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.TemporaryRedirect));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public async Task Instances_share_the_tokens_of_tenants_where_the_sources_builder_says_so()
    {
        _tenants.Add("one");
        var cache = new SharedCache();
        var tokens = new List<string>();
        for (int instance = 0; instance < 3; instance++)
        {
            await using TestApp app = App(services =>
            {
                services.AddSingleton<IDistributedCache>(cache);
                services.AddSingleton<TimeProvider>(new FleetClock());
                services.AddSparkflyAccountSource<TenantSource>().UseDistributedCache();
            });
            using HttpClient client = app.Client();
            tokens.Add(await TokenSentAsync(client, "one"));
        }

        Assert.That(tokens.Distinct().Count(), Is.EqualTo(1), "tokens");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public void The_name_that_stands_for_all_accounts_of_a_source_cannot_be_registered()
    {
        ArgumentException exception = Assert.Throws<ArgumentException>(static () => new ServiceCollection().AddSparkflyAuth("*", static _ => { }))!;
        Assert.That(exception.ParamName, Is.EqualTo("name"));
        Assert.That(new ServiceCollection().AddSparkflyAccountSource<TenantSource>().Name, Is.EqualTo("*"));
    }

    [Test]
    public void A_source_is_not_warmed_up_since_nobody_knows_its_accounts_yet()
    {
        InvalidOperationException exception = Assert.Throws<InvalidOperationException>(
            static () => new ServiceCollection().AddSparkflyAccountSource<TenantSource>().WarmUpOnStart())!;
        Assert.That(exception.Message, Does.Contain("WarmUpOnStart is for registered accounts"));
    }

    [Test]
    public async Task A_health_check_of_a_tenant_asks_the_source_for_it()
    {
        _tenants.Add("one");
        await using TestApp app = App(static services => services.AddHealthChecks().AddSparkflyAuth("one"));
        HealthCheckService health = app.Services.GetRequiredService<HealthCheckService>();

        Assert.That((await health.CheckHealthAsync()).Status, Is.EqualTo(HealthStatus.Healthy));

        _tenants.Failure = new TimeoutException();
        _tenants.Remove("one");
        app.Time.Advance(TimeSpan.FromDays(1));
        _sparkfly.Fail();
        HealthReportEntry entry = (await health.CheckHealthAsync()).Entries["sparkfly:one"];
        Assert.That(entry.Status, Is.EqualTo(HealthStatus.Unhealthy), "with its last settings, and no token");
        Assert.That(entry.Data["reason"], Does.Contain("503"));
    }

    /// <summary>Rule 3.3: disposing ends every wait, also for an account of which the answer comes while other services are being disposed of.</summary>
    [Test]
    public async Task An_answer_that_comes_while_the_container_is_being_disposed_of_frees_everyone_who_waits_for_it()
    {
        _tenants.Add("one");
        Gate gate = _tenants.Hold(heedsCancellation: false);
        var disposing = new DisposesSlowly();
        TestApp app = App(services => services.AddSingleton(_ => disposing));
        using HttpClient client = app.Client();
        Task<HttpStatusCode> call = CallAsync(client, "one");
        await _tenants.Questions.Reaches(1);

        // Made last, so disposed of first: our own services are still to come.
        app.Services.GetRequiredService<DisposesSlowly>();
        disposing.Until = () =>
        {
            gate.Open();
            return Task.WhenAny(call, Task.Delay(TestApp.Patience));
        };
        await app.DisposeAsync();

        Assert.That(call.IsCompleted, Is.True);
        Assert.That(async () => await call, Throws.InstanceOf<ObjectDisposedException>());
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference StateOf(TestApp app, string name) => new(app.Services.GetRequiredService<SparkflyAccounts>().GetAsync(name, CancellationToken.None).AsTask().Result);

    private static bool IsCollected(WeakReference reference)
    {
        GC.Collect();
        return !reference.IsAlive;
    }

    private static HttpRequestMessage Request(string? account)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        if (account is not null)
        {
            request.SetSparkflyAccount(account);
        }

        return request;
    }

    /// <summary>A call that has come to the API, and is answered when the gate opens; those after it are answered at once.</summary>
    private async Task<(Task<HttpStatusCode> Call, Gate Answer)> CallSlowlyAsync(HttpClient client, string tenant)
    {
        var answer = new Gate();
        int before = _sparkfly.ApiRequests.Value;
        _sparkfly.OnApiRequest = async (_, _) =>
        {
            await answer.Opened;
            return null;
        };
        Task<HttpStatusCode> call = CallAsync(client, tenant);
        await _sparkfly.ApiRequests.Reaches(before + 1);
        _sparkfly.OnApiRequest = null;
        return (call, answer);
    }

    private static async Task<HttpStatusCode> CallAsync(HttpClient client, string? account, CancellationToken cancellationToken = default)
    {
        using HttpRequestMessage request = Request(account);
        using HttpResponseMessage response = await client.SendAsync(request, cancellationToken).WaitAsync(TestApp.Patience, CancellationToken.None);
        return response.StatusCode;
    }

    private async Task<string> TokenSentAsync(HttpClient client, string account)
    {
        string? sent = null;
        _sparkfly.OnApiRequest = (request, _) =>
        {
            sent = InMemorySparkfly.TokenOf(request);
            return Task.FromResult<HttpResponseMessage?>(null);
        };
        Assert.That(await CallAsync(client, account), Is.EqualTo(HttpStatusCode.OK));
        return sent!;
    }

    private TestApp App(Action<IServiceCollection>? register = null, bool isQuiet = false) => _sparkfly.App(
        register: services =>
        {
            AddSource(services);
            register?.Invoke(services);
        },
        isQuiet: isQuiet);

    private void AddSource(IServiceCollection services)
    {
        services.AddSingleton(_tenants);
        services.AddScoped<Scope>();
        services.AddSparkflyAccountSource<TenantSource>().ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
    }

    /// <summary>An application's database of tenants.</summary>
    private sealed class Tenants
    {
        public static readonly AsyncLocal<string?> Ambient = new();

        private readonly ConcurrentDictionary<string, SparkflyAuthOptions> _tenants = new();
        private Func<CancellationToken, Task> _before = static _ => Task.CompletedTask;

        public ConcurrentQueue<string> Asked { get; } = new();

        public string AskedFor => string.Join(", ", Asked);

        public ConcurrentQueue<Scope> Scopes { get; } = new();

        public ConcurrentQueue<string?> SeenAmbient { get; } = new();

        public Counter Questions { get; } = new();

        public Exception? Failure { get; set; }

        /// <summary>Adds a tenant, or gives it another key.</summary>
        public void Add(string name, Action<SparkflyAuthOptions>? configure = null)
        {
            var options = new SparkflyAuthOptions
            {
                BaseAddress = new Uri("https://sparkfly.test/v1.0"),
                Identity = SecretSweep.NewSecret("identity"),
                Key = SecretSweep.NewSecret("key"),
            };
            configure?.Invoke(options);
            _tenants[name] = options;
        }

        public void Remove(string name) => _tenants.TryRemove(name, out _);

        public Gate Hold(bool heedsCancellation = true)
        {
            var gate = new Gate();
            _before = cancellationToken => gate.Opened.WaitAsync(heedsCancellation ? cancellationToken : CancellationToken.None);
            return gate;
        }

        public async ValueTask<SparkflyAuthOptions?> FindAsync(string name, Scope scope, CancellationToken cancellationToken)
        {
            Asked.Enqueue(name);
            Scopes.Enqueue(scope);
            SeenAmbient.Enqueue(Ambient.Value);
            Questions.Increment();
            await _before(cancellationToken);
            return Failure is { } failure ? throw failure : _tenants.GetValueOrDefault(name);
        }
    }

    private sealed class DisposesSlowly : IAsyncDisposable
    {
        public Func<Task> Until { get; set; } = static () => Task.CompletedTask;

        public async ValueTask DisposeAsync() => await Until();
    }

    private sealed class Scope : IDisposable
    {
        public bool IsDisposed { get; private set; }

        public void Dispose() => IsDisposed = true;
    }

    [SuppressMessage("Performance", "CA1812", Justification = "Made by the container.")]
    private sealed class TenantSource(Tenants tenants, Scope scope) : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) => tenants.FindAsync(name, scope, cancellationToken);
    }
}
