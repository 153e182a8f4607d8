using NUnit.Framework.Interfaces;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 7.1 and 7.3 with what they are about: processes of their own, a cache on a socket, and a server that counts.</summary>
/// <remarks>
/// Each process has reached the cache before it is asked to call: twenty that start on two cores take longer for a first connection than rule 7.3
/// lets it cost. Where one still does not get through in time, it asks for itself; the bound leaves room for these, but not for all of them.
/// </remarks>
[Category("Long")]
public class FleetProcessTests
{
    private const int Size = 20;
    private const int Calls = 3;

    // For all tests: each has instances of its own, but twenty processes take long to start.
    private static ProcessFleet? s_fleet;

    private int _rejected;

    [OneTimeTearDown]
    public static async Task EndProcessesAsync()
    {
        if (s_fleet is { } fleet)
        {
            s_fleet = null;
            await fleet.DisposeAsync();
        }
    }

    /// <summary>What a failed test has left under way is no other's.</summary>
    [TearDown]
    public static Task EndProcessesOfAFailedTestAsync() =>
        TestContext.CurrentContext.Result.Outcome.Status == TestStatus.Failed ? EndProcessesAsync() : Task.CompletedTask;

    /// <summary>Rule 7.1.</summary>
    [TestCaseSource(typeof(CacheServers), nameof(CacheServers.Names))]
    public async Task A_cold_start_of_a_fleet_at_one_moment_costs_a_POST_or_three_and_so_does_a_revocation(string redis)
    {
        await using StandInServer server = await StartServerAsync();
        await using CacheServer cache = await CacheServers.StartAsync(redis);
        ProcessFleet fleet = await StartFleetAsync(server, cache.Address);

        int coldStart = await CountAsync("cold start", server, fleet);
        Assert.That(_rejected, Is.Zero, "tokens that the server did not take at the cold start");
        Assert.That(coldStart, Is.InRange(1, 3 + Math.Min(fleet.Warned, Size / 2)), $"POSTs of a cold start of {Size}; who does not reach the cache in time asks for itself\n{fleet.Logs}");

        server.RevokeTokens();
        int revocation = await CountAsync("revocation", server, fleet);
        Assert.That(revocation, Is.InRange(1, 3 + Math.Min(fleet.Warned, Size / 2)), $"POSTs of a revocation at {Size}; who does not reach the cache in time asks for itself\n{fleet.Logs}");
        await AssertAllGoodAsync(fleet);
    }

    /// <summary>Rule 7.3.</summary>
    [TestCaseSource(typeof(CacheServers), nameof(CacheServers.Names))]
    public async Task A_cache_that_goes_in_the_middle_of_a_renewal_costs_each_instance_a_POST_of_its_own_at_most_and_no_failed_call(string redis)
    {
        await using StandInServer server = await StartServerAsync();
        await using CacheServer cache = await CacheServers.StartAsync(redis);
        ProcessFleet fleet = await StartFleetAsync(server, cache.Address, ("UnauthorizedRefreshInterval", "00:00:00"));
        await CountAsync("cold start", server, fleet);

        server.RevokeTokens();
        server.OnTokenRequest = async _ =>
        {
            await cache.KillAsync();
            return false;
        };
        int middle = await CountAsync("cache killed in the middle of a renewal", server, fleet);
        Assert.That(middle, Is.InRange(1, Size), $"POSTs of a revocation at {Size} whose cache goes");
        await AssertAllGoodAsync(fleet);

        server.RevokeTokens();
        int after = await CountAsync("revocation without the cache", server, fleet);
        Assert.That(after, Is.InRange(1, Size), $"POSTs of a revocation at {Size} whose cache is gone");
        await AssertAllGoodAsync(fleet);
    }

    /// <summary>Rule 7.3.</summary>
    [TestCaseSource(typeof(CacheServers), nameof(CacheServers.Names))]
    public async Task A_cache_that_is_stopped_and_started_in_the_middle_costs_each_instance_a_POST_at_most_and_no_failed_call(string redis)
    {
        await using StandInServer server = await StartServerAsync();
        await using CacheServer cache = await CacheServers.StartAsync(redis);
        ProcessFleet fleet = await StartFleetAsync(
            server,
            cache.Address,
            ("UnauthorizedRefreshInterval", "00:00:00"),

            // The first token request lasts as long as the cache's restart, which takes long on a busy machine.
            ("AuthTimeout", "00:05:00"));
        await CountAsync("cold start", server, fleet);

        server.RevokeTokens();
        int restarts = 0;
        server.OnTokenRequest = async _ =>
        {
            if (Interlocked.Increment(ref restarts) == 1)
            {
                await cache.KillAsync();
                await cache.RestartAsync();
            }

            return false;
        };
        int middle = await CountAsync("cache stopped and started in the middle of a renewal", server, fleet);
        Assert.That(middle, Is.InRange(1, Size), $"POSTs of a revocation at {Size} whose cache is restarted");
        await AssertAllGoodAsync(fleet);

        server.RevokeTokens();
        int after = await CountAsync("revocation after that", server, fleet);
        Assert.That(after, Is.InRange(1, Size), $"POSTs of a revocation at {Size} whose cache is back");
        await AssertAllGoodAsync(fleet);

        // Half a minute later each tries the cache again; again half a minute later, where its client has not connected again yet.
        int later = Size;
        for (int attempt = 1; attempt <= 4 && later > 3; attempt++)
        {
            await Task.Delay(TimeSpan.FromSeconds(5));
            await fleet.PassAsync(TimeSpan.FromSeconds(32));
            server.RevokeTokens();
            later = await CountAsync($"revocation {attempt} half minutes later", server, fleet);
            await AssertAllGoodAsync(fleet);
        }

        Assert.That(later, Is.InRange(1, 3), $"POSTs of a revocation at {Size} that use the cache again");
    }

    /// <summary>What section 7 is for: the same without it.</summary>
    [Test]
    public async Task Without_a_shared_cache_each_instance_asks_for_itself()
    {
        await using StandInServer server = await StartServerAsync();
        ProcessFleet fleet = await StartFleetAsync(server, redis: "");

        Assert.That(await CountAsync("cold start, nothing shared", server, fleet), Is.EqualTo(Size));
        server.RevokeTokens();
        Assert.That(await CountAsync("revocation, nothing shared", server, fleet), Is.EqualTo(Size));
        await AssertAllGoodAsync(fleet);
    }

    private async Task<StandInServer> StartServerAsync()
    {
        StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = context =>
        {
            if (!server.IsGood(context.Request.Headers["X-Auth-Token"]))
            {
                Interlocked.Increment(ref _rejected);
            }

            return Task.FromResult(false);
        };
        return server;
    }

    private static async Task<ProcessFleet> StartFleetAsync(StandInServer server, string redis, params (string Name, string Value)[] settings)
    {
        s_fleet ??= ProcessFleet.Start(Size);
        await s_fleet.StartInstancesAsync(server, redis, settings);
        return s_fleet;
    }

    /// <summary>How many token requests the calls of the whole fleet cost. None of the calls may fail.</summary>
    private async Task<int> CountAsync(string what, StandInServer server, ProcessFleet fleet)
    {
        int before = server.TokenRequests;
        Volatile.Write(ref _rejected, 0);
        (int failed, TimeSpan slowest) = await fleet.CallAsync(Calls);
        int posts = server.TokenRequests - before;
        TestContext.Out.WriteLine(
            $"{what}: {posts} POSTs, {failed} failed calls, {_rejected} sent again, {fleet.Warned} warned of the cache, slowest call {slowest.TotalSeconds:F1} s");
        Assert.That(failed, Is.Zero, () => $"failed calls, {what}:\n{fleet.Logs}");
        return posts;
    }

    /// <summary>Once all have a new token, the server sees no other.</summary>
    private async Task AssertAllGoodAsync(ProcessFleet fleet)
    {
        Volatile.Write(ref _rejected, 0);
        Assert.That((await fleet.CallAsync(1)).Failed, Is.Zero, () => $"failed calls:\n{fleet.Logs}");
        Assert.That(_rejected, Is.Zero, "calls with a token that is not good, after all have been answered");
    }
}
