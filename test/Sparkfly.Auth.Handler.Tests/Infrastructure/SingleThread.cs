using System.Collections.Concurrent;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A synchronization context of one thread, like a user interface's: what is posted to it runs when that thread is free, so whoever blocks
/// it and waits for something posted waits for ever.
/// </summary>
internal sealed class SingleThread : SynchronizationContext
{
    private readonly BlockingCollection<(SendOrPostCallback Callback, object? State)> _queue = [];

    /// <summary>Runs it on the context's thread, which may block; what is posted meanwhile waits.</summary>
    public static Task<T> RunAsync<T>(Func<T> run)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var context = new SingleThread();
        context.Post(
            _ =>
            {
                try
                {
                    done.SetResult(run());
                }
#pragma warning disable CA1031 // The test that waits is told.
                catch (Exception exception)
#pragma warning restore CA1031
                {
                    done.SetException(exception);
                }

                context._queue.CompleteAdding();
            },
            null);
        new Thread(context.Pump) { IsBackground = true }.Start();
        return done.Task;
    }

    public override void Post(SendOrPostCallback d, object? state)
    {
        try
        {
            _queue.Add((d, state));
        }
        catch (InvalidOperationException)
        {
            // The thread has ended. An exception here would end the process of the tests: it comes out of an await.
        }
    }

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException();

    private void Pump()
    {
        SetSynchronizationContext(this);
        foreach ((SendOrPostCallback callback, object? state) in _queue.GetConsumingEnumerable())
        {
            callback(state);
        }
    }
}
