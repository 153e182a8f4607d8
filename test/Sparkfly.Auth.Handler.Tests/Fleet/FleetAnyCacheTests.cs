using System.Net;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Section 7, rule 3: a fleet's cache may be forgetful, full, lagging, hostile, or not to be made at all.</summary>
public class FleetAnyCacheTests
{
    private const string Unreliable = "[Warning] Sparkfly.Auth.Handler[51]";

    private static readonly TimeSpan s_settling = TimeSpan.FromMilliseconds(250);

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly SharedCache _cache = new();

    public enum Kind
    {
        ForgetsEverything,
        IsFull,
        LagsBehind,
        MissesWithAnEmptyArray,
        LosesLeases,
        HasAStrangersShortLease,
        HasAStrangersLongLease,
    }

    [Test]
    public async Task A_lease_that_cannot_be_read_back_costs_a_quarter_of_a_second_one_POST_and_one_warning([Values] Kind kind)
    {
        await using var fleet = new Fleet(_sparkfly, Make(kind));
        Instance instance = fleet.Add();
        DateTimeOffset start = instance.Clock.GetUtcNow();

        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(instance.Clock.GetUtcNow() - start, Is.EqualTo(s_settling), "waited");
        Assert.That(instance.Warnings.Single(), Does.StartWith(Unreliable));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");

        _sparkfly.Revoke();
        start = instance.Clock.GetUtcNow();
        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(instance.Clock.GetUtcNow() - start, Is.EqualTo(TimeSpan.Zero), "waited at a revocation, while the cache is left alone");
        Assert.That(instance.Warnings.Count(), Is.EqualTo(1), "warnings while it is left alone");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests with a revocation");
    }

    [Test]
    public async Task A_fleet_of_five_on_such_a_cache_makes_a_POST_each_at_most([Values] Kind kind)
    {
        await using var fleet = new Fleet(_sparkfly, Make(kind));

        HttpStatusCode[] answers = await Task.WhenAll(fleet.Add(5).Select(static i => i.CallAsync()));

        Assert.That(answers, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.InRange(1, 5), "token requests");
    }

    /// <summary>It has the token all the same, when it has caught up: it is of use to instances that start later.</summary>
    [Test]
    public async Task A_token_is_shared_also_where_the_lease_could_not_be_read_back()
    {
        _cache.Drops = SharedCache.IsLease;
        await using var fleet = new Fleet(_sparkfly, _cache);
        SparkflyToken token = await fleet.Add().GetTokenAsync();

        Assert.That((await fleet.Add().GetTokenAsync()).Value, Is.EqualTo(token.Value));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public async Task A_lease_of_another_account_or_key_or_kind_is_no_lease([Values] bool isToken)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await using var others = new Fleet(new InMemorySparkfly(), _cache);
        await fleet.Add().GetTokenAsync();
        SharedTokenCipher own = Cipher(fleet.Instances[0]);
        SharedTokenCipher foreign = Cipher(others.Add());
        byte[] entry = isToken ? _cache[own.CacheKey] : foreign.EncryptLease(new SharedLease(Guid.NewGuid(), fleet.Instances[0].Clock.GetUtcNow()));
        _cache.Clear();
        _cache[own.LeaseKey] = entry;
        Instance instance = fleet.Add();
        DateTimeOffset start = instance.Clock.GetUtcNow();

        await instance.GetTokenAsync();

        Assert.That(instance.Clock.GetUtcNow() - start, Is.EqualTo(s_settling), "waited");
        Assert.That(instance.Warnings, Is.Empty, "its own lease replaced it");
    }

    [TestCase(126, true)]
    [TestCase(127, false)]
    [TestCase(-126, true)]
    [TestCase(-127, false)]
    public async Task A_lease_is_waited_for_within_its_lifetime_and_what_clocks_may_be_apart(int age, bool isWaitedFor)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();
        SharedTokenCipher cipher = Cipher(instance);
        _cache[cipher.LeaseKey] = cipher.EncryptLease(new SharedLease(Guid.NewGuid(), instance.Clock.GetUtcNow() - TimeSpan.FromSeconds(age)));
        DateTimeOffset start = instance.Clock.GetUtcNow();

        await instance.GetTokenAsync();

        Assert.That(instance.Clock.GetUtcNow() - start, isWaitedFor ? Is.GreaterThan(s_settling) : Is.EqualTo(s_settling), "waited");
    }

    /// <summary>The interval that the instance counts and the one that the fleet counts are the same question, with one answer.</summary>
    [Test]
    public async Task No_interval_and_no_clock_makes_a_call_that_is_answered_401_loop(
        [Values(0, 1, 30, 3600)] int interval, [Values(-119, -20, 0, 20, 90, 119)] int ahead)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Action<SparkflyAuthOptions> configure = options => options.UnauthorizedRefreshInterval = TimeSpan.FromSeconds(interval);
        Instance other = fleet.Add(configure, TimeSpan.FromSeconds(Math.Max(0, ahead)));
        Instance instance = fleet.Add(configure, TimeSpan.FromSeconds(Math.Max(0, -ahead)));
        _sparkfly.OnApiRequest = static (_, _) => Task.FromResult<HttpResponseMessage?>(InMemorySparkfly.Status(HttpStatusCode.Unauthorized));
        await other.CallAsync();
        int operations = _cache.Operations.Value;
        int posts = _sparkfly.TokenRequests.Value;

        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.Unauthorized));

        Assert.That(_cache.Operations.Value - operations, Is.LessThanOrEqualTo(16), "operations of the cache of one call");
        Assert.That(_sparkfly.TokenRequests.Value - posts, Is.LessThanOrEqualTo(1), "token requests of one call");
    }

    [TestCase(20)]
    [TestCase(119)]
    public async Task The_forced_renewal_of_an_instance_that_is_ahead_and_gone_holds_the_others_back_for_one_interval(int ahead)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance gone = fleet.Add(ahead: TimeSpan.FromSeconds(ahead));
        Instance instance = fleet.Add();
        SparkflyToken token = await gone.GetTokenAsync();
        await instance.GetTokenAsync();
        await gone.RenewTokenAsync(token);
        _sparkfly.Revoke();

        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.Unauthorized), "at once");
        fleet.Advance(TimeSpan.FromSeconds(30));
        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.OK), "after the interval");
    }

    [Test]
    public async Task The_fleets_interval_counts_from_the_forced_renewal_and_not_from_when_an_instance_hears_of_it()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        (Instance first, Instance second) = (fleet.Add(), fleet.Add());
        SparkflyToken token = await first.GetTokenAsync();
        fleet.Advance(TimeSpan.FromMinutes(1));
        await first.RenewTokenAsync(token);
        await second.GetTokenAsync();
        _sparkfly.Revoke();
        fleet.Advance(TimeSpan.FromSeconds(25));
        Assert.That(await second.CallAsync(), Is.EqualTo(HttpStatusCode.Unauthorized), "25 seconds after it");

        fleet.Advance(TimeSpan.FromSeconds(6));
        Assert.That(await second.CallAsync(), Is.EqualTo(HttpStatusCode.OK), "31 seconds after it");
    }

    /// <summary>Also where the clock of the instance that was forced is ahead.</summary>
    [TestCase(-120, HttpStatusCode.Unauthorized)]
    [TestCase(29, HttpStatusCode.Unauthorized)]
    [TestCase(30, HttpStatusCode.OK)]
    public async Task An_instance_is_held_back_until_the_fleets_interval_is_over(int secondsAfter, HttpStatusCode status)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance first = fleet.Add(ahead: TimeSpan.FromHours(1));
        await first.RenewTokenAsync(await first.GetTokenAsync());
        DateTimeOffset forcedAt = first.Clock.GetUtcNow();
        Instance second = fleet.Add();
        second.Clock.SetUtcNow(forcedAt + TimeSpan.FromSeconds(Math.Min(secondsAfter, 0)));
        await second.GetTokenAsync();
        second.Clock.SetUtcNow(forcedAt + TimeSpan.FromSeconds(secondsAfter));
        _sparkfly.Revoke();

        Assert.That(await second.CallAsync(), Is.EqualTo(status));
    }

    [Test]
    public async Task A_token_that_is_too_long_is_not_shared_with_one_warning_that_says_so()
    {
        string value = SecretSweep.NewSecret("token").PadRight(17 * 1024, 'x');
        _sparkfly.OnTokenRequest = (_, _) =>
        {
            HttpResponseMessage response = InMemorySparkfly.Status(HttpStatusCode.NoContent);
            response.Headers.Add("X-Auth-Token", value);
            return Task.FromResult<HttpResponseMessage?>(response);
        };
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance first = fleet.Add(static options => options.UnauthorizedRefreshInterval = TimeSpan.Zero);
        SparkflyToken token = await first.GetTokenAsync();
        first.Clock.Advance(TimeSpan.FromSeconds(1));
        await first.RenewTokenAsync(token);
        Instance second = fleet.Add();
        await second.GetTokenAsync();

        foreach (Instance instance in fleet.Instances)
        {
            Assert.That(instance.Warnings.Single(), Does.StartWith("[Warning] Sparkfly.Auth.Handler[53]").And.Contain("17408 characters"));
        }

        Assert.That(_cache.Keys, Is.All.EndsWith(":lease"), "entries");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests");
    }

    [Test]
    public async Task One_accounts_failing_entry_does_not_keep_another_account_from_the_cache()
    {
        var other = new InMemorySparkfly();
        await using var fleet = new Fleet(_sparkfly, _cache);
        void Register(IServiceCollection services)
        {
            other.AddAccount(services, "other");
            services.AddSparkflyAuth("other", static _ => { }).UseDistributedCache();
        }

        Instance instance = fleet.Add(register: Register);
        string failing = Cipher(instance).CacheKey;
        _cache.Before = (_, _, key, _) => key.StartsWith(failing, StringComparison.Ordinal) ? throw new InvalidOperationException("slow") : Task.CompletedTask;
        await instance.GetTokenAsync();
        await instance.App.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("other").GetTokenAsync();
        await fleet.Add(register: Register).App.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("other").GetTokenAsync();

        Assert.That(other.TokenRequests.Value, Is.EqualTo(1), "token requests of the account whose entry works");
        Assert.That(instance.Warnings.Count(), Is.EqualTo(1), "warnings");
    }

    [Test]
    public async Task A_cache_that_cannot_be_made_costs_a_warning_and_no_call_and_is_used_once_it_can([Values] bool isKeyed)
    {
        bool fails = true;
        int made = 0;
        await using TestApp app = AppWith(isKeyed, _ =>
        {
            made++;
            return fails ? throw new InvalidOperationException("no connection string") : _cache;
        });

        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync("offers");
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(made, Is.EqualTo(1), "attempts to make it");
        Assert.That(Warnings(app).Single(), Does.StartWith("[Warning] Sparkfly.Auth.Handler[5]").And.Contain("no connection string"));

        fails = false;
        app.Time.Advance(TimeSpan.FromHours(23.9));
        await app.Tokens.GetTokenAsync();
        await _cache.Operations.Reaches(1);
    }

    [Test]
    public async Task A_container_without_keyed_services_uses_the_default_cache()
    {
        var services = new ServiceCollection();
        services.AddSingleton<IDistributedCache>(_cache);
        services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
        await using ServiceProvider provider = services.BuildServiceProvider();

        BoundedCache cache = MakeUnkeyed(services, provider);
        await cache.GetAsync("key", TimeSpan.FromSeconds(1), CancellationToken.None);

        Assert.That(_cache.Operations.Value, Is.EqualTo(1), "operations of the default cache");
    }

    [Test]
    public async Task A_container_without_keyed_services_keeps_the_bounds_where_the_cache_cannot_be_made()
    {
        var services = new ServiceCollection();
        services.AddSingleton<IDistributedCache>(static _ => throw new InvalidOperationException("no connection string"));
        services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
        await using ServiceProvider provider = services.BuildServiceProvider();

        BoundedCache cache = MakeUnkeyed(services, provider);

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(
            () => cache.GetAsync("key", TimeSpan.FromSeconds(1), CancellationToken.None));
        Assert.That(exception.Message, Is.EqualTo("no connection string"));
    }

    [Test]
    public void A_container_without_keyed_services_that_has_no_cache_stops_the_host()
    {
        var services = new ServiceCollection();
        services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
        using ServiceProvider provider = services.BuildServiceProvider();

        Assert.That(() => MakeUnkeyed(services, provider), Throws.InstanceOf<OptionsValidationException>().With.Message.Contains("IDistributedCache"));
    }

    [Test]
    public async Task A_cache_that_takes_twelve_seconds_to_make_is_waited_for_at_the_start_of_the_host_and_used_by_the_first_call()
    {
        var time = new FleetClock();
        var made = new Gate();
        var making = new Gate();
        var log = new System.Collections.Concurrent.ConcurrentQueue<string>();
        using IHost host = HostedApp.Build(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
            services.AddSingleton<TimeProvider>(time);
            services.AddSingleton<IDistributedCache>(_ =>
            {
                making.Open();
                made.Opened.Wait(TestApp.Patience);
                return _cache;
            });
            services.AddLogging(logging => logging.AddProvider(new SecretSweep.Provider(log.Enqueue)));
        });
        bool IsLogged(int id) => log.Any(l => l.Contains($"Sparkfly.Auth.Handler[{id}]", StringComparison.Ordinal));

        Task starting = host.StartAsync();
        await making.Opened.WaitAsync(TestApp.Patience);
        time.Advance(TimeSpan.FromSeconds(2));
        await Fleet.Until(() => IsLogged(54), "that the start waits");
        time.Advance(TimeSpan.FromSeconds(10));
        Assert.That(starting.IsCompleted, Is.False, "after twelve seconds");
        made.Open();
        await starting.WaitAsync(TestApp.Patience);
        Assert.That(IsLogged(55), "that it is connected");

        int before = _cache.Operations.Value;
        await host.Services.GetRequiredService<ISparkflyTokenProvider>().GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);
        Assert.That(_cache.Operations.Value, Is.EqualTo(before + 7), "operations of the first call");
        Assert.That(log.Where(static l => l.StartsWith("[Warning] Sparkfly", StringComparison.Ordinal)), Is.Empty, "warnings");
    }

    [Test]
    public async Task A_cache_whose_making_never_ends_costs_five_seconds_once_and_one_thread()
    {
        var ended = new Gate();
        int made = 0;
        await using TestApp app = AppWith(false, _ =>
        {
            Interlocked.Increment(ref made);
            ended.Opened.Wait(TestApp.Patience);
            return _cache;
        });
        try
        {
            Task<SparkflyToken> cold = app.Tokens.GetTokenAsync().AsTask();
            await Fleet.Until(() => Volatile.Read(ref made) == 1, "the cache is being made");
            app.Time.Advance(TimeSpan.FromSeconds(5));
            SparkflyToken token = await cold.WaitAsync(TestApp.Patience);

            app.Time.Advance(TimeSpan.FromSeconds(31));
            Task<SparkflyToken> renewal = app.Tokens.RenewTokenAsync(token).AsTask();

            // No longer than it waits for the cache: the token request has a timeout too.
            await Fleet.Until(
                () =>
                {
                    app.Time.Advance(TimeSpan.FromMilliseconds(10));
                    return Warnings(app).Count() == 2;
                },
                "the warning of the renewal");
            await renewal.WaitAsync(TestApp.Patience);

            Assert.That(Volatile.Read(ref made), Is.EqualTo(1), "threads that make it");
            Assert.That(Warnings(app).Count(), Is.EqualTo(2), "warnings: one for each time that it is left alone");
        }
        finally
        {
            ended.Open();
        }
    }

    [Test]
    public async Task A_cache_that_cannot_be_made_does_not_stop_the_host_and_the_first_call_waits_no_more()
    {
        var log = new List<string>();
        using IHost host = HostedApp.Build(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
            services.AddSingleton<IDistributedCache>(static _ => throw new InvalidOperationException("no connection string"));
            services.AddLogging(logging => logging.AddProvider(new SecretSweep.Provider(log.Add)));
        });

        await host.StartAsync();
        await host.Services.GetRequiredService<ISparkflyTokenProvider>().GetTokenAsync();

        Assert.That(log.Count(static l => l.StartsWith("[Warning] Sparkfly.Auth.Handler[56]", StringComparison.Ordinal)), Is.EqualTo(1), "of the start");
        Assert.That(log.Count(static l => l.StartsWith("[Warning] Sparkfly.Auth.Handler[5]", StringComparison.Ordinal)), Is.Zero, "of the call");
    }

    [TestCase(1, "")]
    [TestCase(3, "54 55")]
    [TestCase(15, "54 56")]
    public async Task A_start_that_waits_noticeably_says_so_and_what_came_of_it(int seconds, string events)
    {
        var time = new FakeTimeProvider();
        var connected = new Gate();
        _cache.Before = (number, _, _, cancellationToken) => number == 1 ? connected.Opened.WaitAsync(cancellationToken) : Task.CompletedTask;
        var log = new System.Collections.Concurrent.ConcurrentQueue<string>();
        using IHost host = HostedApp.Build(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
            services.AddSingleton<IDistributedCache>(_cache);
            services.AddSingleton<TimeProvider>(time);
            services.AddLogging(logging => logging.AddProvider(new SecretSweep.Provider(log.Enqueue)));
        });

        Task starting = host.StartAsync();
        await _cache.Operations.Reaches(1);
        bool IsLogged(int id) => log.Any(l => l.Contains($"Sparkfly.Auth.Handler[{id}]", StringComparison.Ordinal));
        if (seconds >= 2)
        {
            time.Advance(TimeSpan.FromSeconds(2));
            await Fleet.Until(() => IsLogged(54), "that the start waits");
            time.Advance(TimeSpan.FromSeconds(seconds - 2));
        }

        connected.Open();
        await starting.WaitAsync(TestApp.Patience);

        Assert.That(string.Join(' ', ((int[])[54, 55, 56]).Where(IsLogged)), Is.EqualTo(events));
    }

    [Test]
    public async Task What_came_from_the_fleet_what_from_memory_and_what_from_a_POST_is_told_apart_in_the_log()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        (Instance first, Instance second) = (fleet.Add(), fleet.Add());
        await first.GetTokenAsync();
        await second.GetTokenAsync();

        Assert.That(first.App.Log, Has.Exactly(1).StartsWith("[Information] Sparkfly.Auth.Handler[1]").And.None.Contain("Sparkfly.Auth.Handler[50]"));
        Assert.That(second.App.Log, Has.Exactly(1).StartsWith("[Information] Sparkfly.Auth.Handler[50]").And.None.Contain("Sparkfly.Auth.Handler[1]"));
        Assert.That(second.App.Log.Single(static l => l.Contains("[50]", StringComparison.Ordinal)), Does.Contain("from the distributed cache, without a POST"));
    }

    private static BoundedCache MakeUnkeyed(ServiceCollection services, IServiceProvider provider) =>
        (BoundedCache)services.Single(static d => d.ServiceType == typeof(BoundedCache)).ImplementationFactory!(new Unkeyed(provider));

    private static SharedTokenCipher Cipher(Instance instance) =>
        new(instance.App.Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings);

    private static IEnumerable<string> Warnings(TestApp app) => app.Log.Where(static e => e.StartsWith("[Warning] Sparkfly.Auth.Handler[", StringComparison.Ordinal));

    private TestApp AppWith(bool isKeyed, Func<IServiceProvider, IDistributedCache> make) => _sparkfly.App(register: services =>
    {
        services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
        if (isKeyed)
        {
            services.AddKeyedSingleton("Sparkfly.Auth.Handler", (provider, _) => make(provider));
        }
        else
        {
            services.AddSingleton(make);
        }
    });

    private IDistributedCache Make(Kind kind)
    {
        switch (kind)
        {
            case Kind.ForgetsEverything:
                _cache.Drops = static _ => true;
                break;
            case Kind.IsFull:
                return new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions { SizeLimit = 10 }));
            case Kind.LagsBehind:
                // Reads are 400 milliseconds late: what was written a quarter of a second ago is not there yet.
                _cache.OnRead = (key, value) => SharedCache.IsLease(key) ? null : value;
                break;
            case Kind.MissesWithAnEmptyArray:
                _cache.Drops = static _ => true;
                _cache.OnRead = static (_, value) => value ?? [];
                break;
            case Kind.LosesLeases:
                _cache.Before = (_, operation, key, _) =>
                {
                    if (operation == Operation.Get && SharedCache.IsLease(key))
                    {
                        _cache.Clear();
                    }

                    return Task.CompletedTask;
                };
                break;
            case Kind.HasAStrangersShortLease:
                _cache.OnRead = static (key, value) => SharedCache.IsLease(key) ? Bodies.Bytes(16) : value;
                break;
            default:
                _cache.OnRead = static (key, value) => SharedCache.IsLease(key) ? Bodies.Bytes(61) : value;
                break;
        }

        return _cache;
    }

    /// <summary>As a container that was written before there were keyed services.</summary>
    private sealed class Unkeyed(IServiceProvider provider) : IServiceProvider
    {
        public object? GetService(Type serviceType) => serviceType == typeof(IServiceProviderIsKeyedService) ? null : provider.GetService(serviceType);
    }
}
