using System.Net;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rule 3.6: whatever the application's own <see cref="IMemoryCache"/> does, it neither breaks the handler nor turns every request
/// into a token request.
/// </summary>
public class HostileCacheTests
{
    private static readonly Dictionary<string, Func<IMemoryCache>> s_caches = new()
    {
        ["it has a size limit"] = static () => new MemoryCache(new MemoryCacheOptions { SizeLimit = 10 }),
        ["it has room for nothing"] = static () => new MemoryCache(new MemoryCacheOptions { SizeLimit = 0 }),
        ["it is full"] = static () =>
        {
            var cache = new MemoryCache(new MemoryCacheOptions { SizeLimit = 1 });
            cache.Set("the application's own", 17, new MemoryCacheEntryOptions { Size = 1, Priority = CacheItemPriority.NeverRemove });
            return cache;
        },
        ["it was disposed of"] = static () =>
        {
            var cache = new MemoryCache(new MemoryCacheOptions());
            cache.Dispose();
            return cache;
        },
        ["its clock is a year ahead"] = static () => new MemoryCache(Options.Create(new MemoryCacheOptions { Clock = new AnotherClock(365) })),
        ["its clock is a year behind"] = static () => new MemoryCache(Options.Create(new MemoryCacheOptions { Clock = new AnotherClock(-365) })),
        ["it throws on read"] = static () => new Cache { Read = static _ => throw new TimeoutException("the cache") },
        ["it throws on CreateEntry"] = static () => new Cache { Create = static _ => throw new TimeoutException("the cache") },
        ["its entries throw when they are set"] = static () => new Cache { Create = static key => new Entry(key) { ThrowsOnSet = true } },
        ["its entries throw when they are disposed of"] = static () => new Cache { Create = static key => new Entry(key) { ThrowsOnDispose = true } },
        ["it has no entry to give"] = static () => new Cache { Create = static _ => null! },
        ["it throws whatever is asked"] = static () => new Cache
        {
            Read = static _ => throw new TimeoutException("the cache"),
            Create = static _ => throw new TimeoutException("the cache"),
        },
        ["it forgets at once"] = static () => new Cache(),
        ["it returns another type"] = static () => new Cache { Read = static _ => "not a token" },
        ["it returns null"] = static () => new Cache { Read = static _ => null, HasEverything = true },
        ["it returns a token that has expired"] = static () => new Cache
        {
            Read = static _ => new SparkflyToken("expired-long-ago", new DateTimeOffset(2025, 1, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2025, 1, 2, 0, 0, 0, TimeSpan.Zero)),
        },
        ["it returns a token whose own end is later than its lifetime allows"] = static () => new Cache
        {
            Read = static _ => new SparkflyToken("too-old", new DateTimeOffset(2025, 12, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero)),
        },
        ["it returns for ever what it was given first"] = static () =>
        {
            Entry? first = null;
            return new Cache { Create = key => first is null ? first = new Entry(key) : new Entry(key), Read = _ => first?.Value };
        },
    };

    private static IEnumerable<string> Caches => s_caches.Keys;

    [TestCaseSource(nameof(Caches))]
    public async Task A_cache_breaks_nothing_and_costs_no_token_request_when(string what)
    {
        var sparkfly = new InMemorySparkfly();
        using IMemoryCache cache = s_caches[what]();
        await using TestApp app = sparkfly.App(register: services => services.AddSingleton(cache));
        using HttpClient client = app.Client();

        await CallAsync(client, 50);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests for 50 requests");

        sparkfly.Revoke();
        await CallAsync(client, 50);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests with a revocation");

        app.Time.Advance(TimeSpan.FromDays(1));
        await CallAsync(client, 50);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests with a day gone by");
        Assert.That(app.Log.Count(static e => e.Contains("[1] Obtained a token", StringComparison.Ordinal)), Is.EqualTo(3), "tokens taken into use");
    }

    [TestCase("cleared")]
    [TestCase("compacted")]
    [TestCase("emptied of our entry")]
    public async Task A_cache_costs_no_token_request_when_between_requests_it_is(string what)
    {
        var sparkfly = new InMemorySparkfly();
        using var cache = new MemoryCache(new MemoryCacheOptions());
        await using TestApp app = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));
        using HttpClient client = app.Client();

        for (int i = 0; i < 20; i++)
        {
            await CallAsync(client, 1);
            Assert.That(cache.Count, Is.LessThanOrEqualTo(1));
            switch (what)
            {
                case "cleared":
                    cache.Clear();
                    break;
                case "compacted":
                    cache.Compact(1);
                    break;
                default:
                    foreach (object key in cache.Keys)
                    {
                        cache.Remove(key);
                    }

                    break;
            }
        }

        Assert.That(cache.Count, Is.Zero);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task A_cache_that_fails_is_told_of_in_the_log_as_a_warning()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(register: static services => services.AddSingleton<IMemoryCache>(new Cache
        {
            Read = static _ => throw new TimeoutException("what the cache says"),
        }));

        await app.Tokens.GetTokenAsync();

        string warning = app.Log.Single(static e => e.StartsWith("[Warning] Sparkfly.Auth.Handler[3]", StringComparison.Ordinal));
        Assert.That(warning, Does.Contain("what the cache says"));
    }

    [Test]
    public async Task Nobody_waits_for_ever_where_the_log_fails_like_the_cache()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(register: static services => services
            .AddSingleton<IMemoryCache>(new Cache { Read = static _ => throw new TimeoutException("the cache") })
            .AddLogging(static logging => logging.AddProvider(new SecretSweep.Provider(static entry =>
            {
                if (entry.Contains("Sparkfly.Auth.Handler[", StringComparison.Ordinal))
                {
                    throw new IOException("the disk of the log is full");
                }
            }))));

        // A token or an exception: either is an end.
        Task<SparkflyToken> asking = app.Tokens.GetTokenAsync().AsTask();
        await Task.WhenAny(asking, Task.Delay(TestApp.Patience));
        Assert.That(asking.IsCompleted, Is.True);
        Assert.That(asking.Exception?.InnerException, Is.Null.Or.InstanceOf<SparkflyAuthenticationException>());
    }

    private static async Task CallAsync(HttpClient client, int times)
    {
        for (int i = 0; i < times; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"call {i}");
        }
    }

    /// <summary>A cache that does as it is told, and by default keeps nothing.</summary>
    private sealed class Cache : IMemoryCache
    {
        public Func<object, object?> Read { get; init; } = static _ => null;

        public Func<object, ICacheEntry> Create { get; init; } = static key => new Entry(key);

        public bool HasEverything { get; init; }

        public bool TryGetValue(object key, out object? value) => (value = Read(key)) is not null || HasEverything;

        public ICacheEntry CreateEntry(object key) => Create(key);

        public void Remove(object key)
        {
        }

        public void Dispose()
        {
        }
    }

    private sealed class Entry(object key) : ICacheEntry
    {
        public bool ThrowsOnSet { get; init; }

        public bool ThrowsOnDispose { get; init; }

        public object Key => key;

        public object? Value { get; set => field = ThrowsOnSet ? throw new TimeoutException("the entry") : value; }

        public DateTimeOffset? AbsoluteExpiration { get; set; }

        public TimeSpan? AbsoluteExpirationRelativeToNow { get; set; }

        public TimeSpan? SlidingExpiration { get; set; }

        public IList<IChangeToken> ExpirationTokens { get; } = [];

        public IList<PostEvictionCallbackRegistration> PostEvictionCallbacks { get; } = [];

        public CacheItemPriority Priority { get; set; }

        public long? Size { get; set; }

        public void Dispose()
        {
            if (ThrowsOnDispose)
            {
                throw new TimeoutException("the entry");
            }
        }
    }

    private sealed class AnotherClock(int days) : Microsoft.Extensions.Internal.ISystemClock
    {
        public DateTimeOffset UtcNow => DateTimeOffset.UtcNow.AddDays(days);
    }
}
