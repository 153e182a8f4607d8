using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The true time of a chaos run, which remembers what its passing allows. Thread-safe.</summary>
/// <param name="periods">For each of them, <see cref="Elapsed"/> can be asked.</param>
internal sealed class ChaosClock(params TimeSpan[] periods) : FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero))
{
    private readonly Lock _lock = new();
    private readonly double[] _elapsed = new double[periods.Length];

    /// <summary>How often the time has jumped by more than a minute.</summary>
    public int Jumps { get; private set; }

    /// <summary>Lets time pass, and everything that waits for it go on.</summary>
    public void Pass(TimeSpan time)
    {
        lock (_lock)
        {
            // What happens once in a period happens once in a jump too, however long that is.
            for (int i = 0; i < periods.Length; i++)
            {
                _elapsed[i] += Math.Min(1, time / periods[i]);
            }

            Jumps += time > TimeSpan.FromMinutes(1) ? 1 : 0;
        }

        Advance(time);
    }

    /// <summary>How often something can have happened so far that happens once in a period.</summary>
    public double Elapsed(TimeSpan period)
    {
        lock (_lock)
        {
            return _elapsed[Array.IndexOf(periods, period)];
        }
    }
}

/// <summary>The clock of one instance: apart from the true time, and set forwards and backwards. Its monotonic timestamp and its timers are not.</summary>
internal sealed class SkewedClock(TimeProvider truth) : TimeProvider
{
    private long _ahead;

    public override long TimestampFrequency => truth.TimestampFrequency;

    public TimeSpan Ahead
    {
        get => new(Volatile.Read(ref _ahead));
        set => Volatile.Write(ref _ahead, value.Ticks);
    }

    public override DateTimeOffset GetUtcNow() => truth.GetUtcNow() + Ahead;

    public override long GetTimestamp() => truth.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        truth.CreateTimer(callback, state, dueTime, period);
}
