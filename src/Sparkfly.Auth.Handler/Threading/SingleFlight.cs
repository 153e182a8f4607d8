namespace Sparkfly.Auth.Handler;

/// <summary>One operation in the background that all callers share. It belongs to none of them: a caller that cancels only stops waiting.</summary>
internal sealed class SingleFlight<TResult>
{
    // Never faulted: each caller throws an exception of its own. Asynchronous continuations, so that no caller's code runs in the operation.
    private readonly TaskCompletionSource<TResult> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>What callers wait for.</summary>
    public Task<TResult> Result => _result.Task;

    /// <summary>
    /// Starts the operation on the thread pool, without the caller's execution context: it outlives the caller, whose scopes, culture, baggage and
    /// <c>AsyncLocal</c>s do not concern it.
    /// </summary>
    /// <param name="operation">The operation. Throws nothing.</param>
    /// <param name="state">Its argument.</param>
    public void Start<TState>(Func<TState, Task<TResult>> operation, TState state) => ThreadPool.UnsafeQueueUserWorkItem(
        static work => _ = work.Flight.RunAsync(work.Operation, work.State), (Flight: this, Operation: operation, State: state), preferLocal: false);

    /// <summary>Ends the wait of all callers. The first result counts, so that an operation which does not end in time can be left alone.</summary>
    public void Complete(TResult result) => _result.TrySetResult(result);

    private async Task RunAsync<TState>(Func<TState, Task<TResult>> operation, TState state) =>
        Complete(await operation(state).ConfigureAwait(false));
}
