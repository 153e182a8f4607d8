using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 7.1: the instances of an application share a token, and who asks for it is settled among them.</summary>
public class FleetTests
{
    // Of the token's end, past the moment that any draw has its renewal at, on the instance that asked and on those that have it from that one.
    private static readonly TimeSpan s_dueForRenewal = new(23, 48, 0);

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly SharedCache _cache = new();

    [Test]
    public async Task On_a_cold_start_the_store_is_read_and_after_a_successful_POST_written()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);

        await fleet.Add().GetTokenAsync();

        Assert.That(_cache.History, Is.EqualTo((string[])
        [
            "Get token", "Get lease", "Set lease", "Get lease", "Get token", "Set token", "Set lease",
        ]));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public async Task A_new_instance_takes_the_fleets_token_with_one_look()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        SparkflyToken first = await fleet.Add().GetTokenAsync();
        int before = _cache.Operations.Value;

        SparkflyToken second = await fleet.Add().GetTokenAsync();

        Assert.That(second.Value, Is.EqualTo(first.Value));
        Assert.That(second.IsShared, Is.True);
        Assert.That(first.IsShared, Is.False);
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
        Assert.That(_cache.Operations.Value - before, Is.EqualTo(1), "operations of the second instance");
    }

    [Test]
    public async Task A_warm_request_never_touches_the_store()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();
        await instance.CallAsync();
        int before = _cache.Operations.Value;

        for (int i = 0; i < 100; i++)
        {
            await instance.CallAsync();
        }

        Assert.That(_cache.Operations.Value - before, Is.Zero, "operations of 100 warm requests");
    }

    [Test]
    public async Task A_renewal_ahead_of_expiry_reads_the_store_first_so_that_a_fleet_makes_one()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance[] instances = fleet.Add(5);
        foreach (Instance instance in instances)
        {
            await instance.GetTokenAsync();
        }

        fleet.Advance(s_dueForRenewal);
        var tokens = new HashSet<string>();
        foreach (Instance instance in instances)
        {
            tokens.Add((await instance.RenewAheadAsync()).Value);
        }

        Assert.That(tokens, Has.Count.EqualTo(1), "the fleet's tokens");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests of a cold start and a renewal");
    }

    [Test]
    public async Task A_token_that_is_due_for_renewal_is_not_taken_by_a_new_instance()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add().GetTokenAsync();

        SparkflyToken token = await fleet.Add(ahead: s_dueForRenewal).GetTokenAsync();

        Assert.That(token.IsShared, Is.False);
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [Test]
    public async Task Where_the_service_gives_one_value_twice_the_fleet_still_renews_once()
    {
        string value = SecretSweep.NewSecret("token");
        _sparkfly.OnTokenRequest = (_, _) =>
        {
            HttpResponseMessage response = InMemorySparkfly.Status(System.Net.HttpStatusCode.NoContent);
            response.Headers.Add("X-Auth-Token", value);
            return Task.FromResult<HttpResponseMessage?>(response);
        };
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance[] instances = fleet.Add(3);
        foreach (Instance instance in instances)
        {
            await instance.GetTokenAsync();
        }

        fleet.Advance(s_dueForRenewal);
        foreach (Instance instance in instances)
        {
            await instance.RenewAheadAsync();
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests of a cold start and a renewal");
    }

    [Test]
    public async Task Without_UseDistributedCache_no_cache_is_touched()
    {
        await using TestApp app = _sparkfly.App(register: services => services.AddSingleton<IDistributedCache>(_cache));

        SparkflyToken token = await app.Tokens.GetTokenAsync();
        _sparkfly.Revoke();
        await app.Tokens.RenewTokenAsync(token);

        Assert.That(_cache.History, Is.Empty);
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [Test]
    public async Task UseDistributedCache_without_one_stops_the_host_and_says_what_to_do()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
        });

        Assert.That(exception.Message, Does.Contain("UseDistributedCache").And.Contain("IDistributedCache").And.Contain("AddStackExchangeRedisCache"));
    }

    [Test]
    public async Task The_cache_with_the_packages_own_key_wins_over_the_default_one()
    {
        var own = new SharedCache();
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add(register: services => services.AddKeyedSingleton<IDistributedCache>("Sparkfly.Auth.Handler", own));

        await instance.GetTokenAsync();

        Assert.That(own.Operations.Value, Is.GreaterThan(0), "operations of the keyed cache");
        Assert.That(_cache.History, Is.Empty);
    }

    [Test]
    public async Task UseDistributedCache_is_for_the_account_that_it_is_called_on_and_may_be_repeated()
    {
        var other = new InMemorySparkfly();
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add(register: services =>
        {
            other.AddAccount(services, "other");
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache().UseDistributedCache();
        });

        await instance.App.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("other").GetTokenAsync();
        Assert.That(_cache.History, Is.Empty, "of an account that is not shared");
        await instance.GetTokenAsync();

        Assert.That(_cache.History, Has.Count.EqualTo(7), "of the account that is");
    }

    [Test]
    public async Task Two_accounts_in_one_fleet_never_share_a_token()
    {
        var other = new InMemorySparkfly();
        void Register(IServiceCollection services)
        {
            other.AddAccount(services, "other");
            services.AddSparkflyAuth("other", static _ => { }).UseDistributedCache();
        }

        await using var fleet = new Fleet(_sparkfly, _cache);
        var tokens = new List<(string Default, string Other)>();
        for (int i = 0; i < 3; i++)
        {
            Instance instance = fleet.Add(register: Register);
            SparkflyToken token = await instance.App.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("other").GetTokenAsync();
            tokens.Add(((await instance.GetTokenAsync()).Value, token.Value));
        }

        Assert.That(tokens.Distinct().Count(), Is.EqualTo(1), "pairs of tokens");
        Assert.That(tokens[0].Default, Is.Not.EqualTo(tokens[0].Other));
        Assert.That((_sparkfly.TokenRequests.Value, other.TokenRequests.Value), Is.EqualTo((1, 1)), "token requests");
    }

    [Test]
    public async Task A_rotated_key_has_an_entry_of_its_own_and_costs_the_fleet_one_POST()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance[] instances = fleet.Add(3);
        foreach (Instance instance in instances)
        {
            await instance.GetTokenAsync();
        }

        _sparkfly.Reload("Key", SecretSweep.NewSecret("key"));
        string token = (await instances[0].GetTokenAsync()).Value;
        foreach (Instance instance in instances)
        {
            Assert.That((await instance.GetTokenAsync()).Value, Is.EqualTo(token));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
        Assert.That(_cache.Keys.Count(static k => !SharedCache.IsLease(k)), Is.EqualTo(2), "entries");
    }

    [TestCase(6, 30, 5.7, 6.5)]
    [TestCase(3600, 30, 10, 10.5)]
    [TestCase(3600, 4, 4, 4.5)]
    public async Task The_lease_of_an_instance_that_has_died_is_waited_for_until_it_expires_ten_seconds_or_AuthTimeout_at_most(
        int lifetime, int authTimeout, double atLeast, double atMost)
    {
        var clock = new FleetClock();
        var cache = new SharedCache(clock);
        await using var fleet = new Fleet(_sparkfly, cache);
        await fleet.Add(time: clock).GetTokenAsync();
        (string lease, byte[] written) = Lease(fleet.Instances[0], clock.GetUtcNow());
        cache.Clear();
        cache.Put(lease, written, TimeSpan.FromSeconds(lifetime));
        long start = clock.GetTimestamp();

        Instance waiting = fleet.Add(o => o.AuthTimeout = TimeSpan.FromSeconds(authTimeout), time: clock);
        SparkflyToken token = await waiting.GetTokenAsync();

        Assert.That(clock.GetElapsedTime(start).TotalSeconds, Is.InRange(atLeast, atMost), "seconds of waiting");
        Assert.That(
            waiting.Warnings.Select(static w => w[..w.IndexOf(']', 10)]),
            Is.EqualTo(lifetime == 6 ? [] : (string[])["[Warning] Sparkfly.Auth.Handler[52"]), "that the wait ended without a result");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
        Assert.That((await fleet.Add(time: clock).GetTokenAsync()).Value, Is.EqualTo(token.Value), "what it asked for is shared");
    }

    [Test]
    public async Task Where_no_lease_is_ever_written_every_instance_still_has_a_token_for_a_POST_at_most()
    {
        _cache.Drops = SharedCache.IsLease;
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance[] instances = fleet.Add(5);

        SparkflyToken[] tokens = await Task.WhenAll(instances.Select(static i => i.GetTokenAsync()));

        Assert.That(tokens.Select(t => _sparkfly.IsGood(t.Value)), Is.All.True);
        Assert.That(_sparkfly.TokenRequests.Value, Is.InRange(1, 5), "token requests");
    }

    [Test]
    public async Task A_lost_race_costs_a_POST_and_nothing_else()
    {
        // Neither sees the other's lease before it writes its own, and the second writes when the first has read its own back.
        var leasesRead = new Counter();
        int leasesWritten = 0;
        _cache.Before = (_, operation, key, _) =>
        {
            if (operation == Operation.Get && SharedCache.IsLease(key))
            {
                leasesRead.Increment();
            }

            return operation != Operation.Set || !SharedCache.IsLease(key) ? Task.CompletedTask
                : Interlocked.Increment(ref leasesWritten) == 1 ? leasesRead.Reaches(2)
                : _sparkfly.TokenRequests.Reaches(1);
        };
        await using var fleet = new Fleet(_sparkfly, _cache);
        Gate posts = _sparkfly.HoldTokenRequests();
        Task<SparkflyToken>[] asking = [.. fleet.Add(2).Select(static i => i.GetTokenAsync())];
        await _sparkfly.TokenRequests.Reaches(2);
        posts.Open();

        SparkflyToken[] tokens = await Task.WhenAll(asking);

        Assert.That(tokens.Select(t => _sparkfly.IsGood(t.Value)), Is.All.True);
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
        foreach (Instance instance in fleet.Instances)
        {
            Assert.That(await instance.CallAsync(), Is.EqualTo(System.Net.HttpStatusCode.OK));
        }
    }

    [Test]
    public async Task A_POST_that_fails_releases_the_lease_and_the_next_instance_asks()
    {
        _sparkfly.Fail();
        await using var fleet = new Fleet(_sparkfly, _cache);
        await Thrown.By<SparkflyAuthenticationException>(fleet.Add().GetTokenAsync);
        Assert.That(_cache.Keys, Is.All.EndsWith(":lease"), "a lease that is released, and no token");

        _sparkfly.Recover();
        Instance next = fleet.Add();
        DateTimeOffset start = next.Clock.GetUtcNow();
        await next.GetTokenAsync();

        Assert.That(next.Clock.GetUtcNow() - start, Is.EqualTo(TimeSpan.FromMilliseconds(250)), "waited");
    }

    [Test]
    public async Task A_lease_is_released_also_where_another_instance_was_done_meanwhile()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add().GetTokenAsync();
        byte[] entry = _cache[_cache.TokenKey];
        string key = _cache.TokenKey;
        _cache.Clear();
        _cache.Before = (_, operation, written, _) =>
        {
            if (operation == Operation.Set && SharedCache.IsLease(written))
            {
                _cache[key] = entry;
            }

            return Task.CompletedTask;
        };

        await fleet.Add().GetTokenAsync();

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
        Assert.That(_cache.History.Last(), Is.EqualTo("Set lease"));
        _cache.Before = null;
        _cache.Drops = static _ => false;
        _sparkfly.Revoke();
        Instance next = fleet.Add();
        DateTimeOffset start = next.Clock.GetUtcNow();
        await next.CallAsync();
        Assert.That(next.Clock.GetUtcNow() - start, Is.EqualTo(TimeSpan.FromMilliseconds(250)), "what the next instance waits before it asks");
    }

    [Test]
    public async Task A_lease_is_held_for_as_long_as_its_POST_takes()
    {
        var clock = new LeaseClock();
        var cache = new SharedCache(clock);
        await using var fleet = new Fleet(_sparkfly, cache);
        Gate posts = _sparkfly.HoldTokenRequests();
        Task<SparkflyToken> asking = fleet.Add(Fleet.WithoutTimeouts, time: clock).GetTokenAsync();
        await clock.Waits.Reaches(1);
        string lease = cache.Keys.Single(SharedCache.IsLease);

        for (int writes = 2; writes <= 11; writes++)
        {
            clock.Advance(LeaseClock.BetweenWrites);
            await clock.Waits.Reaches(writes);
            Assert.That(cache.History.Count(static o => o == "Set lease"), Is.EqualTo(writes), "writes of the lease");
            Assert.That(cache.Has(lease), Is.True, $"after write {writes}");
        }

        posts.Open();
        await asking;
        Assert.That(cache.Keys, Has.Exactly(2).Items, "entries: the token, and the lease");
        Assert.That(clock.Waiting, Is.Empty, "waits for the next write of the lease");
    }

    [Test]
    public async Task Disposing_the_container_while_the_cache_is_read_ends_the_wait_with_neither_a_POST_nor_a_warning()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();
        _cache.Before = static (_, _, _, cancellationToken) => Task.Delay(Timeout.Infinite, cancellationToken);
        Task<SparkflyToken> waiting = instance.GetTokenAsync();
        await _cache.Operations.Reaches(1);

        await instance.App.DisposeAsync();

        await Thrown.By<ObjectDisposedException>(() => waiting);
        Assert.That(_sparkfly.TokenRequests.Value, Is.Zero, "token requests");
        Assert.That(instance.Warnings, Is.Empty);
    }

    [Test]
    public async Task Disposing_the_container_frees_everyone_who_waits_for_another_instances_lease()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add().GetTokenAsync();
        (string lease, byte[] written) = Lease(fleet.Instances[0], new Microsoft.Extensions.Time.Testing.FakeTimeProvider().GetUtcNow());
        _cache.Clear();
        _cache[lease] = written;
        Instance waiting = fleet.Add(static options => options.AuthTimeout = TimeSpan.FromDays(1), time: new Microsoft.Extensions.Time.Testing.FakeTimeProvider());
        int before = _cache.Operations.Value;
        ISparkflyTokenProvider tokens = waiting.App.Tokens;
        Task<SparkflyToken>[] waiters = [.. Enumerable.Range(0, 20).Select(_ => tokens.GetTokenAsync().AsTask())];
        await _cache.Operations.Reaches(before + 2);

        await waiting.App.DisposeAsync();

        foreach (Task<SparkflyToken> waiter in waiters)
        {
            await Thrown.By<ObjectDisposedException>(() => waiter);
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
        Assert.That(waiting.Warnings, Is.Empty);
    }

    /// <summary>On the system's clock and all processors, and alone on the machine; the counts are printed.</summary>
    [Test]
    [Category("Long")]
    [NonParallelizable]
    public async Task A_cold_start_and_a_revocation_of_twenty_instances_at_one_moment_cost_three_POSTs_at_most_each()
    {
        const int Rounds = 20;
        var counts = new ConcurrentQueue<(int ColdStart, int Revocation)>();

        // Some at a time: a round mostly waits.
        await Parallel.ForAsync(0, Rounds, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (_, _) =>
        {
            var sparkfly = new InMemorySparkfly();
            await using var fleet = new Fleet(sparkfly, new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions())));
            Instance[] instances = fleet.Add(20, TimeProvider.System);
            await CallAtOnceAsync(instances);
            int coldStart = sparkfly.TokenRequests.Value;

            sparkfly.Revoke();
            await CallAtOnceAsync(instances);
            counts.Enqueue((coldStart, sparkfly.TokenRequests.Value - coldStart));
        });

        TestContext.Out.WriteLine($"POSTs of (cold start, revocation): {string.Join(' ', counts)}");
        Assert.That(counts.Select(static c => Math.Max(c.ColdStart, c.Revocation)), Is.All.InRange(1, 3), string.Join(' ', counts));
    }

    /// <summary>The lease of another instance, as an instance of the fleet writes it.</summary>
    private static (string Key, byte[] Entry) Lease(Instance instance, DateTimeOffset writtenAt)
    {
        var cipher = new SharedTokenCipher(instance.App.Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings);
        return (cipher.LeaseKey, cipher.EncryptLease(new SharedLease(Guid.NewGuid(), writtenAt)));
    }

    private static async Task CallAtOnceAsync(Instance[] instances)
    {
        var start = new Gate();
        Task<System.Net.HttpStatusCode>[] calls = [.. instances.Select(instance => Task.Run(async () =>
        {
            await start.Opened;
            return await instance.CallAsync();
        }))];
        start.Open();
        Assert.That(await Task.WhenAll(calls), Is.All.EqualTo(System.Net.HttpStatusCode.OK));
    }
}
