using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>When a call is cancelled.</summary>
public enum CancellationMoment
{
    /// <summary>When it has come to the step, in the step's own thread, before the step goes on.</summary>
    At,

    /// <summary>While the step is pending, and remains so until the caller has left.</summary>
    During,
}

/// <summary>Counts the steps of a call, and stops at one of them. Thread-safe.</summary>
/// <remarks>Several threads may take steps at once, in any order, so a step is known by its name and how often that came: "API 2".</remarks>
/// <param name="moment">Which steps count: all, or those that can be pending.</param>
/// <param name="target">The step to stop at; null for none.</param>
internal sealed class CancellationSteps(CancellationMoment moment, string? target)
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Gate _gate = new();
    private readonly ConcurrentDictionary<string, int> _counts = new();
    private readonly ConcurrentQueue<string> _taken = new();
    private volatile bool _isArmed;
    private volatile string? _step;

    /// <summary>The step that was stopped at; null where it was not reached.</summary>
    public string? Step => _step;

    /// <summary>The steps that the call has taken, up to the one it was stopped at.</summary>
    public IEnumerable<string> Taken => _taken;

    /// <summary>What happens at the step, in its thread.</summary>
    public Action OnReached { get; set; } = static () => { };

    /// <summary>Completes when the step is reached, after what happens there.</summary>
    public Task Reached => _reached.Task;

    /// <summary>Counts from now on.</summary>
    public void Arm() => _isArmed = true;

    /// <summary>Counts no more, and lets the pending step go on.</summary>
    public void Release()
    {
        _isArmed = false;
        _gate.Open();
    }

    /// <summary>A step that takes no time.</summary>
    public void Pass(string name)
    {
        if (moment == CancellationMoment.At)
        {
            Count(name);
        }
    }

    /// <summary>A step that may be pending, and then heeds its own cancellation token.</summary>
    public async Task PassAsync(string name, CancellationToken cancellationToken)
    {
        if (Count(name) && moment == CancellationMoment.During)
        {
            await _gate.Opened.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        cancellationToken.ThrowIfCancellationRequested();
    }

    private bool Count(string name)
    {
        if (!_isArmed || _step is not null)
        {
            return false;
        }

        string step = $"{name} {_counts.AddOrUpdate(name, 1, static (_, count) => count + 1)}";
        _taken.Enqueue(step);
        if (step != target)
        {
            return false;
        }

        // First: the call may have ended when the rest is done.
        _step = step;
        OnReached();
        _reached.TrySetResult();
        return true;
    }
}

/// <summary>A fake clock whose every use is a step, on which short waits end at once, and which knows the timers that nobody has disposed of.</summary>
internal sealed class CancellationClock(CancellationSteps steps) : FleetClock
{
    private readonly ConcurrentDictionary<TrackedTimer, TimeSpan> _timers = new();

    public int PendingTimers => _timers.Count;

    public override DateTimeOffset GetUtcNow()
    {
        steps.Pass("clock");
        return base.GetUtcNow();
    }

    public override long GetTimestamp()
    {
        steps.Pass("timestamp");
        return base.GetTimestamp();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        steps.Pass("timer");
        var timer = new TrackedTimer(base.CreateTimer(callback, state, dueTime, period), disposed => _timers.TryRemove(disposed, out _));
        _timers[timer] = dueTime;
        return timer;
    }

    public override string ToString() => string.Join(", ", _timers.Values);
}

/// <summary>A logger for which each entry of the package is a step.</summary>
internal sealed class CancellationLog(CancellationSteps steps) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => categoryName.StartsWith("Sparkfly", StringComparison.Ordinal) ? new Logger(steps) : NullLogger.Instance;

    public void Dispose()
    {
    }

    private sealed class Logger(CancellationSteps steps) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            steps.Pass($"log {eventId.Name}");
    }
}

/// <summary>A request's body that comes in two pieces, each of them a step. Sent once it is gone, as far as anybody knows.</summary>
internal sealed class CancellationBody(CancellationSteps steps) : HttpContent
{
    public const string Text = "half and half";

    protected override async Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context, CancellationToken cancellationToken)
    {
        await steps.PassAsync("body", cancellationToken).ConfigureAwait(false);
        await stream.WriteAsync("half and "u8.ToArray(), cancellationToken).ConfigureAwait(false);
        await steps.PassAsync("second half of the body", cancellationToken).ConfigureAwait(false);
        await stream.WriteAsync("half"u8.ToArray(), cancellationToken).ConfigureAwait(false);
    }

    protected override Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}

/// <summary>The body of a response: to read it is a step. Says when it is read, and when it is closed.</summary>
internal sealed class CancellationAnswer(CancellationSteps steps, string name, Action onRead, Action onClosed) : ReadOnlyStream
{
    private readonly CancellationTokenSource _closed = new();
    private int _left = 10;
    private int _isClosed;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        onRead();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _closed.Token);
        await steps.PassAsync(name, ended.Token).ConfigureAwait(false);
        int read = Math.Min(Math.Min(7, buffer.Length), _left);
        buffer.Span[..read].Fill((byte)'a');
        _left -= read;
        return read;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    // Closing ends it, which is how the platform cancels a synchronous read.
    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _isClosed, 1) == 0)
        {
            _closed.Cancel();
            onClosed();
        }

        base.Dispose(disposing);
    }
}
