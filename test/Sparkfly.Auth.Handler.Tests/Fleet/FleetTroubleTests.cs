using System.Net;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 7.3: a shared cache that is slow, gone or broken costs a bounded wait on the token request, and no failed call.</summary>
public class FleetTroubleTests
{
    // What a cold start, and a renewal that a 401 forces, do to the cache.
    private const int OperationsOfAnObtain = 7;

    private static readonly TimeSpan s_first = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_connected = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_little = TimeSpan.FromMilliseconds(10);

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly SharedCache _cache = new();
    private readonly Gate _testEnded = new();

    // Of the first operation that something is made of: cancelled at the very moment when its time is up.
    private TaskCompletionSource<CancellationToken> _bound = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public enum Trouble
    {
        Throws,
        HangsAndHeedsCancellation,
        HangsForGood,
        Blocks,
    }

    [TearDown]
    public void FreeWhoBlocks() => _testEnded.Open();

    [Test]
    public async Task A_cold_start_goes_on_without_a_cache_that([Values] Trouble trouble)
    {
        _cache.Before = (_, _, _, cancellationToken) => Make(trouble, cancellationToken);
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();

        Task<HttpStatusCode> calling = instance.CallAsync();
        await _cache.Operations.Reaches(1);
        instance.Clock.Advance(s_first);

        Assert.That(await calling, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
        Assert.That(_cache.Operations.Value, Is.EqualTo(1), "operations");
        Assert.That(instance.Warnings.Single(), Does.StartWith("[Warning] Sparkfly.Auth.Handler[5]"));
    }

    [Test]
    public async Task A_cache_that_hangs_is_waited_for_five_seconds_until_it_has_once_answered_and_DistributedCacheTimeout_then()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        var clock = new FakeTimeProvider();
        Instance cold = fleet.Add(time: clock);
        Instance connected = fleet.Add();
        await connected.GetTokenAsync();
        _cache.Before = (_, _, _, cancellationToken) => Make(Trouble.HangsAndHeedsCancellation, cancellationToken);

        Assert.That(await WaitsForAsync(clock, cold.GetTokenAsync, s_first), Is.True, "a cold one");
        SparkflyToken token = await connected.GetTokenAsync();
        Assert.That(await WaitsForAsync(connected.Clock, () => connected.RenewTokenAsync(token), s_connected), Is.True, "one that is connected");
    }

    [Test]
    public async Task The_host_starts_when_the_cache_is_connected_or_has_failed_or_after_fifteen_seconds([Values] Trouble trouble)
    {
        var time = new FakeTimeProvider();
        _cache.Before = (_, _, _, cancellationToken) => Make(trouble, cancellationToken);
        using IHost host = HostedApp.Build(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
            services.AddSingleton<IDistributedCache>(_cache);
            services.AddSingleton<TimeProvider>(time);
        });

        Task starting = host.StartAsync();
        await _cache.Operations.Reaches(1);
        if (trouble != Trouble.Throws)
        {
            time.Advance(TimeSpan.FromSeconds(15) - TimeSpan.FromTicks(1));
            Assert.That(starting.IsCompleted, Is.False, "just before fifteen seconds");
            time.Advance(TimeSpan.FromTicks(1));
        }

        await starting.WaitAsync(TestApp.Patience);
        Assert.That(_cache.Operations.Value, Is.EqualTo(1), "operations");
    }

    [Test]
    public async Task Once_the_host_has_had_it_connected_a_hanging_cache_is_waited_for_no_longer_than_DistributedCacheTimeout()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();
        await instance.App.Services.GetServices<IHostedService>().OfType<IHostedLifecycleService>().Single().StartingAsync(CancellationToken.None);
        Assert.That(_cache.History, Has.Count.EqualTo(3), "a look, and a byte that is written and removed again");
        Assert.That(_cache.Keys, Is.Empty);
        _cache.Before = (_, _, _, cancellationToken) => Make(Trouble.HangsAndHeedsCancellation, cancellationToken);

        Assert.That(await WaitsForAsync(instance.Clock, instance.GetTokenAsync, s_connected), Is.True);
    }

    [Test]
    public async Task A_failure_is_remembered_for_thirty_seconds_so_that_the_next_cold_call_does_not_wait_again()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add(static options => options.UnauthorizedRefreshInterval = TimeSpan.Zero);
        SparkflyToken token = await instance.GetTokenAsync();
        _cache.Before = (_, _, _, cancellationToken) => Make(Trouble.Throws, cancellationToken);
        token = await instance.RenewTokenAsync(token);
        int before = _cache.Operations.Value;

        for (int second = 0; second < 29; second++)
        {
            instance.Clock.Advance(TimeSpan.FromSeconds(1));
            token = await instance.RenewTokenAsync(token);
        }

        Assert.That(_cache.Operations.Value, Is.EqualTo(before), "operations while it is left alone");
        Assert.That(instance.Warnings.Count(), Is.EqualTo(1), "warnings");

        _cache.Before = null;
        instance.Clock.Advance(TimeSpan.FromSeconds(1));
        await instance.RenewTokenAsync(token);
        Assert.That(_cache.Operations.Value, Is.EqualTo(before + OperationsOfAnObtain), "operations after that");
        Assert.That((await fleet.Add().GetTokenAsync()).Value, Is.EqualTo((await instance.GetTokenAsync()).Value), "the fleet shares again");
    }

    [Test]
    public async Task A_cache_that_fails_at_any_operation_costs_a_warning_and_never_a_second_POST_nor_a_call(
        [Range(1, OperationsOfAnObtain)] int failing, [Values] Trouble trouble, [Values] bool isForGood)
    {
        _cache.Before = (number, _, _, cancellationToken) =>
            number == failing || (isForGood && number > failing) ? Make(trouble, cancellationToken) : Task.CompletedTask;
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();

        Task<HttpStatusCode> calling = instance.CallAsync();
        await _cache.Operations.Reaches(failing);
        instance.Clock.Advance(failing == 1 ? s_first : s_connected);

        Assert.That(await calling, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
        Assert.That(instance.Warnings.Count(), Is.EqualTo(1), "warnings");
        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests of two calls");
    }

    [Test]
    public async Task A_cache_that_fails_at_any_operation_of_a_forced_renewal_costs_no_second_POST_nor_a_call([Range(1, OperationsOfAnObtain)] int failing)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();
        await instance.CallAsync();
        int before = _cache.Operations.Value;
        _cache.Before = (number, _, _, cancellationToken) =>
            number >= before + failing ? Make(Trouble.Throws, cancellationToken) : Task.CompletedTask;
        _sparkfly.Revoke();

        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
        Assert.That(instance.Warnings.Count(), Is.EqualTo(1), "warnings");
    }

    [Test]
    public async Task A_cache_that_is_gone_while_the_POST_is_under_way_costs_no_second_one()
    {
        var clock = new LeaseClock();
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add(Fleet.WithoutTimeouts, time: clock);
        Gate posts = _sparkfly.HoldTokenRequests();
        Task<SparkflyToken> asking = instance.GetTokenAsync();
        await _sparkfly.TokenRequests.Reaches(1);
        await clock.Waits.Reaches(1);
        _cache.Before = (_, _, _, cancellationToken) => Make(Trouble.Throws, cancellationToken);
        clock.Advance(LeaseClock.BetweenWrites);
        await Fleet.Until(() => instance.Warnings.Any(), "the warning of a lease that could not be kept");
        posts.Open();

        await asking;

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [TestCase("junk")]
    [TestCase("another version")]
    [TestCase("a flipped bit")]
    [TestCase("cut")]
    [TestCase("of another account")]
    public async Task An_entry_that_is_no_good_is_ignored_with_a_warning_and_replaced(string what)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add().GetTokenAsync();
        byte[] entry = _cache[_cache.TokenKey];
        _cache[_cache.TokenKey] = what switch
        {
            "junk" => Bodies.Bytes(500),
            "another version" => [2, .. entry[1..]],
            "a flipped bit" => [.. entry[..^1], (byte)(entry[^1] ^ 1)],
            "cut" => entry[..^1],
            _ => await EntryOfAnotherAccountAsync(),
        };
        Instance instance = fleet.Add();

        Assert.That(await instance.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(instance.Warnings.Single(), Does.StartWith("[Warning] Sparkfly.Auth.Handler[6]"));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
        await fleet.Add().CallAsync();
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests once the entry is replaced");
    }

    [Test]
    public async Task Entries_swapped_between_two_accounts_are_ignored_by_both()
    {
        var other = new InMemorySparkfly();
        await using var fleet = new Fleet(_sparkfly, _cache);
        await using var others = new Fleet(other, _cache);
        await fleet.Add().GetTokenAsync();
        await others.Add().GetTokenAsync();
        string[] keys = [.. _cache.Keys.Where(static k => !SharedCache.IsLease(k))];
        (_cache[keys[0]], _cache[keys[1]]) = (_cache[keys[1]], _cache[keys[0]]);
        (Instance one, Instance two) = (fleet.Add(), others.Add());

        Assert.That(await one.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await two.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That((one.Warnings.Count(), two.Warnings.Count()), Is.EqualTo((1, 1)), "warnings");
        Assert.That((_sparkfly.TokenRequests.Value, other.TokenRequests.Value), Is.EqualTo((2, 2)), "token requests");
    }

    /// <summary>Whether it waits for just this long.</summary>
    private async Task<bool> WaitsForAsync(FakeTimeProvider clock, Func<Task> act, TimeSpan limit)
    {
        int posts = _sparkfly.TokenRequests.Value;
        _bound = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task acting = act();
        CancellationToken bound = await _bound.Task.WaitAsync(TestApp.Patience);
        clock.Advance(limit - s_little);
        bool waited = !bound.IsCancellationRequested && !acting.IsCompleted && _sparkfly.TokenRequests.Value == posts;
        clock.Advance(s_little);
        await acting;
        return waited;
    }

    private static async Task<byte[]> EntryOfAnotherAccountAsync()
    {
        var cache = new SharedCache();
        await using var fleet = new Fleet(new InMemorySparkfly(), cache);
        await fleet.Add().GetTokenAsync();
        return cache[cache.TokenKey];
    }

    private Task Make(Trouble trouble, CancellationToken cancellationToken)
    {
        _bound.TrySetResult(cancellationToken);
        switch (trouble)
        {
            case Trouble.Throws:
                throw new InvalidOperationException("the cache is gone");
            case Trouble.HangsAndHeedsCancellation:
                return Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
            case Trouble.Blocks:
                _testEnded.Opened.Wait(TestApp.Patience, CancellationToken.None);
                return Task.CompletedTask;
            default:
                return new TaskCompletionSource().Task;
        }
    }
}
