namespace Sparkfly.Auth.Handler;

/// <summary>Runs what an application may provide (a cache, a source of accounts, a token provider), and which may block, or not heed its cancellation token.</summary>
internal static class Bounded
{
    /// <summary>Runs an operation on the thread pool, and goes on without it when its time is up.</summary>
    /// <exception cref="TimeoutException">It was not done in time; <paramref name="tooLate"/> is what the exception says.</exception>
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
            // What it comes to later is nobody's business, and no unobserved exception.
            _ = running.ContinueWith(
                static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            cancellationToken.ThrowIfCancellationRequested();
            throw new TimeoutException(tooLate);
        }
    }
}
