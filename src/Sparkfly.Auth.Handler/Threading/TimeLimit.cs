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
        try
        {
            return await RunAsync(operation, token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new TimeoutException(tooLate);
        }
    }

    /// <summary>Runs an operation on the thread pool, and stops waiting for it when the token is cancelled.</summary>
    /// <param name="operation">The operation. What it gives or throws after that is disposed of.</param>
    /// <param name="cancellationToken">Ends the operation and the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async Task<TResult> RunAsync<TResult>(Func<CancellationToken, Task<TResult>> operation, CancellationToken cancellationToken)
    {
        Task<TResult> running = Task.Run(() => operation(cancellationToken), cancellationToken);
        try
        {
            return await running.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            running.ObserveException();
            _ = running.ContinueWith(
                static late => (late.Result as IDisposable)?.Dispose(),
                CancellationToken.None,
                TaskContinuationOptions.OnlyOnRanToCompletion,
                TaskScheduler.Default);
            throw;
        }
    }

    /// <summary>For a task that may fail after its caller stopped waiting.</summary>
    public static void ObserveException(this Task task) => _ = task.ContinueWith(
        static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
}
