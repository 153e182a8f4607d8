namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The system's clock, to be put forward by a test: for what waits for sockets and processes, which know of no fake clock.</summary>
internal sealed class SystemClock : TimeProvider
{
    private long _ahead;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    private TimeSpan Ahead => new(Volatile.Read(ref _ahead));

    /// <summary>Timers do not see it: they run as long as they are set.</summary>
    public void PutForward(TimeSpan by) => Interlocked.Add(ref _ahead, by.Ticks);

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + Ahead;

    public override long GetTimestamp() => (System.GetElapsedTime(0) + Ahead).Ticks;
}
