namespace Sparkfly.Auth.Handler.Testing;

/// <summary>A request that has come, and the clock and the timestamp at which it did.</summary>
internal sealed record Arrival(FakeSparkflyRequest Request, TimeProvider Time, long Timestamp)
{
    /// <summary>Waits until so much time has gone by since the request came.</summary>
    public async Task DelayAsync(TimeSpan delay, CancellationToken cancellationToken)
    {
        if (delay == Timeout.InfiniteTimeSpan)
        {
            await Task.Delay(delay, cancellationToken).ConfigureAwait(false);
        }

        TimeSpan left = delay - Time.GetElapsedTime(Timestamp);
        if (left <= TimeSpan.Zero)
        {
            return;
        }

        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task timer = Task.Delay(left, Time, waiting.Token);

        // A test that has seen the request may have moved its clock before the timer was there.
        if (Time.GetElapsedTime(Timestamp) >= delay)
        {
            await waiting.CancelAsync().ConfigureAwait(false);
            return;
        }

        await timer.ConfigureAwait(false);
    }
}
