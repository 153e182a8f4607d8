using System.Diagnostics;
using System.Net;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using SparkflyStandIn;
using StackExchange.Redis;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 7.1 and 7.3 with a Redis on a socket, and the client of it that applications use.</summary>
/// <remarks>Alone on the machine: the bounds of the cache's operations are the clock's.</remarks>
[Category("Long")]
[NonParallelizable]
public class FleetRedisTests
{
    private const string Warning = "[Warning] Sparkfly.Auth.Handler[5]";

    private static readonly TimeSpan s_unbounded = TimeSpan.FromSeconds(40);

    private readonly SystemClock _clock = new();
    private readonly TaskCompletionSource _restored = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Rule 7.1.</summary>
    [Test]
    public async Task A_token_that_one_application_puts_into_a_Redis_is_the_next_ones_too()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using Garnet garnet = await Garnet.StartAsync();
        await using TestApp first = App(server, garnet);
        await using TestApp second = App(server, garnet);

        await AssertAnsweredAsync(first);
        await AssertAnsweredAsync(second);

        Assert.That(server.TokenRequests, Is.EqualTo(1), "POSTs of two applications");
        Assert.That(server.ApiRequests, Is.EqualTo(2), "calls, none of them sent twice");
    }

    /// <summary>Rule 7.3.</summary>
    [Test]
    public async Task An_outage_of_the_Redis_costs_a_bounded_wait_and_a_warning_and_it_is_used_again_when_it_is_back()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using Garnet garnet = await Garnet.StartAsync();
        await using TestApp app = App(server, garnet);
        await AssertAnsweredAsync(app);

        await garnet.KillAsync();
        server.RevokeTokens();
        var watch = Stopwatch.StartNew();
        await AssertAnsweredAsync(app);
        Assert.That(watch.Elapsed, Is.LessThan(s_unbounded / 2), "a call in an outage, whose operations of the cache end after a second each");
        Assert.That(server.TokenRequests, Is.EqualTo(2), "POSTs after a revocation in the outage");
        Assert.That(app.Log.Count(static l => l.StartsWith(Warning, StringComparison.Ordinal)), Is.EqualTo(1), "warnings");

        server.RevokeTokens();
        await AssertAnsweredAsync(app);
        Assert.That(server.TokenRequests, Is.EqualTo(3), "POSTs after a second revocation in the outage");
        Assert.That(app.Log.Count(static l => l.StartsWith(Warning, StringComparison.Ordinal)), Is.EqualTo(1), "warnings of a cache that is left alone");

        await garnet.RestartAsync();
        await _restored.Task.WaitAsync(Subprocess.Patience);
        _clock.PutForward(TimeSpan.FromSeconds(30));
        server.RevokeTokens();
        await AssertAnsweredAsync(app);
        Assert.That(server.TokenRequests, Is.EqualTo(4), "POSTs after a revocation after the outage");

        await using TestApp another = App(server, garnet);
        await AssertAnsweredAsync(another);
        Assert.That(server.TokenRequests, Is.EqualTo(4), "POSTs once another application has taken what the first has put there again");
    }

    private static async Task AssertAnsweredAsync(TestApp app)
    {
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(Subprocess.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    private TestApp App(StandInServer server, Garnet garnet) => new(services =>
    {
        services.AddSingleton<TimeProvider>(_clock);
        services.AddStackExchangeRedisCache(options => Configure(options, garnet));
        services.AddSparkflyAuth(options =>
        {
            options.Use(server);
            options.UnauthorizedRefreshInterval = TimeSpan.Zero;
        }).UseDistributedCache();
        services.AddHttpClient("api").AddSparkflyAuthHandler();
    });

    private void Configure(RedisCacheOptions options, Garnet garnet) => options.ConnectionMultiplexerFactory = async () =>
    {
        // An operation waits until the connection is back, for longer than the test allows a call: what bounds the wait is ours.
        IConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(new ConfigurationOptions
        {
            EndPoints = { garnet.Address },
            AbortOnConnectFail = false,
            AsyncTimeout = (int)s_unbounded.TotalMilliseconds,
            SyncTimeout = (int)s_unbounded.TotalMilliseconds,
            BacklogPolicy = new BacklogPolicy { QueueWhileDisconnected = true, AbortPendingOnConnectionFailure = false },
            ReconnectRetryPolicy = new LinearRetry(100),
        });
        redis.ConnectionRestored += (_, connection) => _ = connection.ConnectionType == ConnectionType.Interactive && _restored.TrySetResult();
        return redis;
    };
}
