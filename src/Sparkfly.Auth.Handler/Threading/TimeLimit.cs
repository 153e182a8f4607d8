namespace Sparkfly.Auth.Handler;

/// <summary>Runs code of the application (a cache, an account source, a token provider), which may block its thread or ignore its cancellation token.</summary>
internal static class TimeLimit
{
    /// <summary>Runs an operation on the thread pool, and stops waiting for it at the limit.</summary>
    /// <param name="tooLate">The message of the <see cref="TimeoutException"/>.</param>
    /// <param name="operation">The operation.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends the operation and the wait.</param>
    /// <exception cref="TimeoutException">The limit was reached.</exception>
    public static async Task<TResult> RunAsync<TResult>(
        string tooLate, Func<CancellationToken, Task<TResult>> operation, TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        using var bound = new CancellationTokenSource(limit, time);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(bound.Token, cancellationToken);
        CancellationToken token = ended.Token;
        Task<TResult> running = Task.Run(() => operation(token), token);
        try
        {
            return await running.WaitAsync(token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // Its exception is observed, as nobody waits for it any more.
            _ = running.ContinueWith(
                static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            cancellationToken.ThrowIfCancellationRequested();
            throw new TimeoutException(tooLate);
        }
    }
}
