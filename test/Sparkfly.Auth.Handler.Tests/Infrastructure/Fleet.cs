using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Instances of one application, each with a clock and a memory of its own: what they share is Sparkfly and a distributed cache.</summary>
internal sealed class Fleet(InMemorySparkfly sparkfly, IDistributedCache cache) : IAsyncDisposable
{
    private readonly List<Instance> _instances = [];

    public IReadOnlyList<Instance> Instances => _instances;

    /// <summary>For a test that lets much time pass while something is under way.</summary>
    public static void WithoutTimeouts(SparkflyAuthOptions options) =>
        (options.AuthTimeout, options.DistributedCacheTimeout) = (TimeSpan.FromDays(1), TimeSpan.FromDays(1));

    /// <summary>Starts another instance.</summary>
    /// <param name="configure">Settings of its own.</param>
    /// <param name="ahead">How far its clock is ahead of the first instance's.</param>
    /// <param name="time">Its clock, where that is not to be a <see cref="FleetClock"/>.</param>
    /// <param name="register">What else it registers.</param>
    /// <param name="isQuiet">Logs nothing, where a test makes so many requests that sweeping their log would take long.</param>
    public Instance Add(
        Action<SparkflyAuthOptions>? configure = null,
        TimeSpan ahead = default,
        TimeProvider? time = null,
        Action<IServiceCollection>? register = null,
        bool isQuiet = false)
    {
        var clock = new FleetClock();
        clock.Advance(ahead);
        TestApp app = sparkfly.App(
            configure,
            services =>
            {
                services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
                services.AddSingleton(cache);
                services.AddSingleton(time ?? clock);
                register?.Invoke(services);
            },
            isQuiet: isQuiet);
        var instance = new Instance(app, clock);
        _instances.Add(instance);
        return instance;
    }

    public Instance[] Add(int count, TimeProvider? time = null) => [.. Enumerable.Range(0, count).Select(_ => Add(time: time))];

    /// <summary>Lets time pass for all instances alike.</summary>
    public void Advance(TimeSpan time) => _instances.ForEach(i => i.Clock.Advance(time));

    public async ValueTask DisposeAsync()
    {
        foreach (Instance instance in _instances)
        {
            await instance.App.DisposeAsync();
        }
    }

    /// <summary>Waits, not for ever, for what nothing tells of.</summary>
    public static async Task Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(TestApp.Patience), what);
            await Task.Delay(1);
        }
    }
}

/// <summary>One instance of a fleet.</summary>
internal sealed record Instance(TestApp App, FleetClock Clock)
{
    public IEnumerable<string> Warnings => App.Log.Where(static e => e.StartsWith("[Warning] Sparkfly.Auth.Handler[", StringComparison.Ordinal));

    public Task<SparkflyToken> GetTokenAsync() => App.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);

    public Task<SparkflyToken> RenewTokenAsync(SparkflyToken rejected) => App.Tokens.RenewTokenAsync(rejected).AsTask().WaitAsync(TestApp.Patience);

    /// <summary>Starts the renewal that is due, and waits for what it comes to.</summary>
    public async Task<SparkflyToken> RenewAheadAsync()
    {
        long start = Stopwatch.GetTimestamp();
        SparkflyToken old = await GetTokenAsync();
        SparkflyToken now = old;
        while (now.IsSameAs(old))
        {
            Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(TestApp.Patience), "the renewal in the background");
            await Task.Delay(1);
            now = await GetTokenAsync();
        }

        return now;
    }

    public async Task<System.Net.HttpStatusCode> CallAsync(string path = "offers")
    {
        using HttpClient client = App.Client();
        using HttpResponseMessage response = await client.GetAsync(path).WaitAsync(TestApp.Patience);
        return response.StatusCode;
    }
}

/// <summary>
/// A fake clock on which short waits end at once: until a lease is read back, or until the next look at another instance's lease. An instance in such
/// a wait has no operation in flight, so no timeout passes.
/// </summary>
internal class FleetClock() : FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero))
{
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(250);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ITimer timer = base.CreateTimer(callback, state, dueTime, period);
        if (dueTime > TimeSpan.Zero && dueTime <= s_short)
        {
            ThreadPool.QueueUserWorkItem(_ => Advance(dueTime));
        }

        return timer;
    }
}

/// <summary>A <see cref="FleetClock"/> that counts the waits for the next write of a lease: a test lets the time pass when there is one.</summary>
internal sealed class LeaseClock : FleetClock
{
    /// <summary>From one write of a lease to the next.</summary>
    public static readonly TimeSpan BetweenWrites = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<ITimer, bool> _waiting = new();

    public Counter Waits { get; } = new();

    /// <summary>The waits that have a timer still.</summary>
    public IEnumerable<ITimer> Waiting => _waiting.Keys;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ITimer timer = base.CreateTimer(callback, state, dueTime, period);
        if (dueTime != BetweenWrites)
        {
            return timer;
        }

        var wait = new TrackedTimer(timer, disposed => _waiting.TryRemove(disposed, out _));
        _waiting[wait] = true;
        Waits.Increment();
        return wait;
    }
}

/// <summary>What is done to a distributed cache.</summary>
internal enum Operation
{
    Get,
    Set,
    Remove,
}

/// <summary>
/// A distributed cache in memory that tells what is done to it, and does before that what it is told. Its clock is a test's, or stands still: no entry
/// expires because a thread was late.
/// </summary>
internal sealed class SharedCache(TimeProvider? time = null) : IDistributedCache
{
    private readonly TimeProvider _time = time ?? new FakeTimeProvider();
    private readonly ConcurrentDictionary<string, (byte[] Value, long From, TimeSpan? Lifetime)> _entries = new();
    private readonly ConcurrentQueue<string> _operations = new();

    /// <summary>Runs before each operation; the number is its own, from 1.</summary>
    public Func<int, Operation, string, CancellationToken, Task>? Before { get; set; }

    /// <summary>Whether the writing of this key has no effect.</summary>
    public Func<string, bool> Drops { get; set; } = static _ => false;

    /// <summary>Changes what is read.</summary>
    public Func<string, byte[]?, byte[]?> OnRead { get; set; } = static (_, value) => value;

    public Counter Operations { get; } = new();

    /// <summary>What was done so far: <c>Set token</c>, <c>Get lease</c>.</summary>
    public IReadOnlyCollection<string> History => _operations;

    public IEnumerable<string> Keys => _entries.Keys;

    public string TokenKey => Keys.Single(static k => !IsLease(k));

    public byte[] this[string key]
    {
        get => _entries[key].Value;
        set => _entries[key] = (value, _time.GetTimestamp(), null);
    }

    public static bool IsLease(string key) => key.EndsWith(":lease", StringComparison.Ordinal);

    public bool Has(string key) => Find(key) is not null;

    public void Put(string key, byte[] value, TimeSpan lifetime) => _entries[key] = (value, _time.GetTimestamp(), lifetime);

    public void Clear() => _entries.Clear();

    public async Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        await NoteAsync(Operation.Get, key, token);
        return OnRead(key, Find(key));
    }

    public async Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        await NoteAsync(Operation.Set, key, token);
        if (!Drops(key))
        {
            TimeSpan lifetime = options.AbsoluteExpirationRelativeToNow ?? throw new InvalidOperationException("An entry would stay for ever.");
            _entries[key] = (value, _time.GetTimestamp(), lifetime);
        }
    }

    public async Task RemoveAsync(string key, CancellationToken token = default)
    {
        await NoteAsync(Operation.Remove, key, token);
        _entries.TryRemove(key, out _);
    }

    public byte[]? Get(string key) => throw new NotSupportedException();

    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => throw new NotSupportedException();

    public void Remove(string key) => throw new NotSupportedException();

    public void Refresh(string key) => throw new NotSupportedException();

    public Task RefreshAsync(string key, CancellationToken token = default) => throw new NotSupportedException();

    private byte[]? Find(string key) =>
        _entries.TryGetValue(key, out var entry) && (entry.Lifetime is not { } lifetime || _time.GetElapsedTime(entry.From) < lifetime) ? entry.Value : null;

    private Task NoteAsync(Operation operation, string key, CancellationToken cancellationToken)
    {
        Func<int, Operation, string, CancellationToken, Task>? before = Before;
        int number;
        lock (_operations)
        {
            _operations.Enqueue($"{operation} {(IsLease(key) ? "lease" : "token")}");
            Operations.Increment();
            number = Operations.Value;
        }

        return before?.Invoke(number, operation, key, cancellationToken) ?? Task.CompletedTask;
    }
}
