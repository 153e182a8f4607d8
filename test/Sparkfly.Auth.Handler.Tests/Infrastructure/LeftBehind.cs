using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework.Interfaces;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Looks, when the last test has ended, for what tests or the package have left behind: a task whose exception nobody has observed, an activity that was
/// started and not stopped, an open socket. <see cref="TestApp"/> looks for timers.
/// </summary>
/// <remarks>
/// Not for <c>Timer.ActiveCount</c>: <see cref="IHttpClientFactory"/> keeps a timer for each pipeline for two minutes, disposed container or not.
/// </remarks>
[SetUpFixture]
public sealed class LeftBehind
{
    // A client that a test did not dispose of keeps its connection until it is collected, which code of the platform may put off.
    private const int SocketTolerance = 4;

    // A pool of connections looks every fifteen seconds for those that the server has closed.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    private readonly ConcurrentQueue<string> _unobserved = new();
    private readonly ConcurrentDictionary<Activity, bool> _running = new();
    private readonly ActivityListener _activities;
    private int _sockets;

    public LeftBehind() => _activities = new ActivityListener
    {
        ShouldListenTo = static source =>
            source.Name is "Sparkfly.Auth.Handler" or "System.Net.Http" || source.Name.StartsWith("Experimental.System.Net", StringComparison.Ordinal),

        // Changes nothing: what others want is seen.
        Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.None,
        ActivityStarted = activity => _running[activity] = true,
        ActivityStopped = activity => _running.TryRemove(activity, out _),
    };

    /// <summary>Mutation testing makes thousands of short runs in one process. None is to wait for sockets, or to search what all before it have logged.</summary>
    public static bool IsIgnored { get; } = Environment.GetEnvironmentVariable("SPARKFLY_LEFT_BEHIND") == "ignore";

    [OneTimeSetUp]
    public void Look()
    {
        if (IsIgnored)
        {
            return;
        }

        _sockets = OpenSockets();
        TaskScheduler.UnobservedTaskException += Note;
        ActivitySource.AddActivityListener(_activities);
    }

    [OneTimeTearDown]
    public void Nothing_is_left_behind()
    {
        if (IsIgnored)
        {
            return;
        }

        Collect();
        int sockets = OpenSockets();
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < s_patience && (!_running.IsEmpty || sockets > _sockets + SocketTolerance); sockets = OpenSockets())
        {
            Thread.Sleep(200);
            Collect();
        }

        TaskScheduler.UnobservedTaskException -= Note;
        _activities.Dispose();
        TestContext.Progress.WriteLine($"Left behind: {_unobserved.Count} exceptions, {_running.Count} activities, sockets {_sockets} to {sockets}.");
        Assert.Multiple(() =>
        {
            Assert.That(_unobserved, Is.Empty, "exceptions of tasks that nobody has observed");
            Assert.That(_running.Keys.Select(static a => $"{a.Source.Name}: {a.DisplayName} {string.Join(' ', a.TagObjects)}"), Is.Empty, "activities that were not stopped");
            Assert.That(sockets, Is.LessThanOrEqualTo(_sockets + SocketTolerance), "open sockets");
        });
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    /// <summary>The sockets that this process has open; zero on a system that does not tell.</summary>
    private static int OpenSockets() =>
        !Directory.Exists("/proc/self/fd") ? 0
        : Directory.GetFiles("/proc/self/fd").Count(static f => IsSocket(f));

    private static bool IsSocket(string descriptor)
    {
        try
        {
            return new FileInfo(descriptor).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true;
        }
        catch (IOException)
        {
            // Closed meanwhile.
            return false;
        }
    }

    private void Note(object? sender, UnobservedTaskExceptionEventArgs args)
    {
        // The platform's own: on .NET 8 nobody observes that a pooled connection broke while it was not in use.
        string text = args.Exception.ToString();
        bool isPooledConnection = args.Exception.InnerException is IOException or SocketException && (
            text.Contains("System.Net.Http.HttpConnection.PrepareForReuse", StringComparison.Ordinal) ||
            !text.Contains("Sparkfly", StringComparison.Ordinal));

        // Polly's: a circuit breaker that is disposed of before it has started.
        bool isCircuitBreaker = text.Contains("Polly.CircuitBreaker.ScheduledTaskExecutor.StartProcessingAsync", StringComparison.Ordinal);
        if (!isPooledConnection && !isCircuitBreaker)
        {
            _unobserved.Enqueue(text);
        }
    }
}

/// <summary>A test ends in no activity.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class EndsInNoActivityAttribute : Attribute, ITestAction
{
    public ActionTargets Targets => ActionTargets.Test;

    public void BeforeTest(ITest test) => Activity.Current = null;

    public void AfterTest(ITest test) => Assert.That(Activity.Current?.OperationName, Is.Null, "Activity.Current after the test");
}

/// <summary>A fake clock that knows which timers have not been disposed of.</summary>
internal sealed class CountingTime(DateTimeOffset start) : FakeTimeProvider(start)
{
    private readonly ConcurrentDictionary<TrackedTimer, string> _timers = new();

    /// <summary>The types that declare the callbacks of the timers that are not disposed of.</summary>
    public IEnumerable<string> Timers => _timers.Values;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new TrackedTimer(base.CreateTimer(callback, state, dueTime, period), disposed => _timers.TryRemove(disposed, out _));
        _timers[timer] = $"{callback.Method.DeclaringType}";
        return timer;
    }
}

/// <summary>A timer that says when it is disposed of.</summary>
internal sealed class TrackedTimer(ITimer timer, Action<TrackedTimer> onDisposed) : ITimer
{
    public bool Change(TimeSpan dueTime, TimeSpan period) => timer.Change(dueTime, period);

    public void Dispose()
    {
        onDisposed(this);
        timer.Dispose();
    }

    public ValueTask DisposeAsync()
    {
        onDisposed(this);
        return timer.DisposeAsync();
    }
}
