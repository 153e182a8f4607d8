namespace Sparkfly.Auth.Handler;

/// <summary>Remembers for a while that something does not work, so that each cold call of a bad hour does not wait for it again. Thread-safe.</summary>
internal sealed class CircuitBreaker(TimeProvider time)
{
    private static readonly TimeSpan s_openFor = TimeSpan.FromSeconds(30);

    private volatile Failure? _failure;

    /// <summary>Whether it was tripped lately.</summary>
    public bool IsOpen => _failure is { } failure && time.GetElapsedTime(failure.At) < s_openFor;

    public void Trip() => _failure = new Failure(time.GetTimestamp());

    private sealed record Failure(long At);
}
