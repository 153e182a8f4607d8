using System.Diagnostics;
using System.Net;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using SparkflyStandIn;
using StackExchange.Redis;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 7.1 and 7.3 with a Redis on a socket, and the client of it that applications use.</summary>
[Category("Long")]
public sealed class FleetRedisTests : IDisposable
{
    private const string Warning = "[Warning] Sparkfly.Auth.Handler[5]";

    private static readonly TimeSpan s_unbounded = TimeSpan.FromSeconds(40);

    // A busy machine.
    private static readonly TimeSpan s_late = TimeSpan.FromSeconds(4);

    // A connection to a server that is up takes longer than the default's second where the machine is busy.
    private static readonly TimeSpan s_connecting = TimeSpan.FromSeconds(5);

    // What docs/fleet.md says.
    private static readonly TimeSpan s_connectionAtStart = TimeSpan.FromSeconds(15);

    private readonly SemaphoreSlim _attempts = new(0);
    private readonly SystemClock _clock = new();
    private readonly TaskCompletionSource _restored = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Dispose() => _attempts.Dispose();

    /// <summary>Rule 7.1.</summary>
    [TestCaseSource(typeof(CacheServers), nameof(CacheServers.Names))]
    public async Task A_token_that_one_application_puts_into_a_Redis_is_the_next_ones_too(string redis)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using CacheServer cache = await CacheServers.StartAsync(redis);
        await using TestApp first = App(server, cache);
        await using TestApp second = App(server, cache);

        await AssertAnsweredAsync(first);
        await AssertAnsweredAsync(second);

        Assert.That(server.TokenRequests, Is.EqualTo(1), "POSTs of two applications");
        Assert.That(server.ApiRequests, Is.EqualTo(2), "calls, none of them sent twice");
    }

    /// <summary>Rule 7.3.</summary>
    [TestCaseSource(typeof(CacheServers), nameof(CacheServers.Names))]
    public async Task An_outage_of_the_Redis_costs_a_bounded_wait_and_a_warning_and_it_is_used_again_when_it_is_back(string redis)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using CacheServer cache = await CacheServers.StartAsync(redis);
        await using TestApp app = App(server, cache);
        await AssertAnsweredAsync(app);

        await cache.KillAsync();
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

        await cache.RestartAsync();
        await _restored.Task.WaitAsync(Subprocess.Patience);
        _clock.PutForward(TimeSpan.FromSeconds(30));
        server.RevokeTokens();
        await AssertAnsweredAsync(app);
        Assert.That(server.TokenRequests, Is.EqualTo(4), "POSTs after a revocation after the outage");

        await using TestApp another = App(server, cache);
        await AssertAnsweredAsync(another);
        Assert.That(server.TokenRequests, Is.EqualTo(4), "POSTs once another application has taken what the first has put there again");
    }

    /// <summary>Rule 7.3: a registration that connects itself, and throws where it cannot.</summary>
    [TestCaseSource(typeof(CacheServers), nameof(CacheServers.Names))]
    public async Task A_registration_that_connects_to_a_Redis_which_is_down_stops_neither_the_host_nor_a_call_and_is_used_once_it_is_up(string redis)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using CacheServer cache = await CacheServers.StartAsync(redis);
        await cache.KillAsync();
        await using TestApp app = Connecting(server, cache);

        var watch = Stopwatch.StartNew();
        await app.Services.GetServices<IHostedService>().OfType<IHostedLifecycleService>().Single().StartingAsync(CancellationToken.None);
        Assert.That(watch.Elapsed, Is.LessThan(s_connectionAtStart + s_late), "the start of the host");
        Assert.That(app.Log.Count(static l => l.StartsWith("[Warning] Sparkfly.Auth.Handler[56]", StringComparison.Ordinal)), Is.EqualTo(1), "warnings of the start");

        await AttemptEndsAsync();
        watch.Restart();
        await AssertAnsweredAsync(app);
        Assert.That(watch.Elapsed, Is.LessThan(s_late), "a call while the cache is left alone");
        Assert.That(server.TokenRequests, Is.EqualTo(1), "POSTs without the cache");

        _clock.PutForward(TimeSpan.FromSeconds(30));
        server.RevokeTokens();
        watch.Restart();
        await AssertAnsweredAsync(app);
        Assert.That(watch.Elapsed, Is.LessThan(s_connecting + s_late), "a call that tries the cache again, and is bounded by DistributedCacheTimeout");
        Assert.That(server.TokenRequests, Is.EqualTo(2), "POSTs after a revocation, still without the cache");

        await AttemptEndsAsync();
        await cache.RestartAsync();
        _clock.PutForward(TimeSpan.FromSeconds(30));
        server.RevokeTokens();
        await AssertAnsweredAsync(app);
        Assert.That(server.TokenRequests, Is.EqualTo(3), "POSTs after a revocation once it is up");
        await using TestApp another = Connecting(server, cache);
        await AssertAnsweredAsync(another);
        Assert.That(server.TokenRequests, Is.EqualTo(3), "POSTs once another application has taken that token");
    }

    private static async Task AssertAnsweredAsync(TestApp app)
    {
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(Subprocess.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    // One that goes on is the next call's too.
    private async Task AttemptEndsAsync() => Assert.That(await _attempts.WaitAsync(Subprocess.Patience), "the end of an attempt to connect");

    private TestApp Connecting(StandInServer server, CacheServer cache) => App(server, services =>
    {
        services.AddSingleton<IConnectionMultiplexer>(_ =>
        {
            try
            {
                return ConnectionMultiplexer.Connect(cache.Address);
            }
            finally
            {
                _attempts.Release();
            }
        });
        services.AddSingleton<IDistributedCache>(static provider =>
        {
            IConnectionMultiplexer connection = provider.GetRequiredService<IConnectionMultiplexer>();
            return new RedisCache(Options.Create(new RedisCacheOptions { ConnectionMultiplexerFactory = () => Task.FromResult(connection) }));
        });
        services.Configure<SparkflyAuthOptions>(static options => options.DistributedCacheTimeout = s_connecting);
    });

    private TestApp App(StandInServer server, CacheServer cache) =>
        App(server, services => services.AddStackExchangeRedisCache(options => Configure(options, cache)));

    private TestApp App(StandInServer server, Action<IServiceCollection> addCache) => new(services =>
    {
        services.AddSingleton<TimeProvider>(_clock);
        addCache(services);
        services.AddSparkflyAuth(options =>
        {
            options.Use(server);
            options.UnauthorizedRefreshInterval = TimeSpan.Zero;
        }).UseDistributedCache();
        services.AddHttpClient("api").AddSparkflyAuthHandler();
    });

    private void Configure(RedisCacheOptions options, CacheServer cache) => options.ConnectionMultiplexerFactory = async () =>
    {
        // An operation waits until the connection is back, for longer than the test allows a call: what bounds the wait is ours.
        IConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(new ConfigurationOptions
        {
            EndPoints = { cache.Address },
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
