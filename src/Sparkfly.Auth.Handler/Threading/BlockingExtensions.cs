namespace Sparkfly.Auth.Handler;

/// <summary>Lets one method serve <c>SendAsync</c> and <c>Send</c>.</summary>
internal static class BlockingExtensions
{
    /// <summary>The task itself or, for a synchronous caller, its result: then nothing is awaited that is not complete.</summary>
    public static ValueTask<T> OrBlock<T>(this ValueTask<T> task, bool isAsync) =>
        isAsync || task.IsCompleted ? task : new ValueTask<T>(task.AsTask().GetAwaiter().GetResult());
}
