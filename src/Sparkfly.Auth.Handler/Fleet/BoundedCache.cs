using Microsoft.Extensions.Caching.Distributed;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// A distributed cache that answers in time or not at all, and that is left alone for a while after it has failed, so that each cold call of a
/// bad hour does not wait for it again. Thread-safe.
/// </summary>
internal sealed class BoundedCache(IDistributedCache cache, TimeProvider time)
{
    // A cold process on a busy machine was seen to take four seconds for its first connection.
    private static readonly TimeSpan s_firstConnection = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_memoryOfFailure = TimeSpan.FromSeconds(30);

    private volatile bool _isConnected;
    private volatile Failure? _failure;

    /// <summary>Whether it has failed lately.</summary>
    public bool IsLeftAlone => _failure is { } failure && time.GetElapsedTime(failure.At) < s_memoryOfFailure;

    /// <summary>Leaves it alone from now on, for a while.</summary>
    public void LeaveAlone() => _failure = new Failure(time.GetTimestamp());

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public async Task<byte[]?> GetAsync(string key, TimeSpan timeout, CancellationToken cancellationToken)
    {
        byte[]? value = null;
        await BoundAsync(async bound => value = await cache.GetAsync(key, bound).ConfigureAwait(false), timeout, cancellationToken).ConfigureAwait(false);
        return value;
    }

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public Task SetAsync(string key, byte[] value, TimeSpan lifetime, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var options = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = lifetime };
        return BoundAsync(bound => cache.SetAsync(key, value, options, bound), timeout, cancellationToken);
    }

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public Task RemoveAsync(string key, TimeSpan timeout, CancellationToken cancellationToken) =>
        BoundAsync(bound => cache.RemoveAsync(key, bound), timeout, cancellationToken);

    // On the thread pool, and with WaitAsync: a cache may block, or not heed its cancellation token.
    private async Task BoundAsync(Func<CancellationToken, Task> operation, TimeSpan timeout, CancellationToken cancellationToken)
    {
        TimeSpan limit = _isConnected || timeout > s_firstConnection ? timeout : s_firstConnection;
        using var bound = new CancellationTokenSource(limit, time);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(bound.Token, cancellationToken);
        CancellationToken token = ended.Token;
        Task running = Task.Run(() => operation(token), token);
        try
        {
            await running.WaitAsync(token).ConfigureAwait(false);
            _isConnected = true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // What it comes to later is nobody's business, and no unobserved exception.
            _ = running.ContinueWith(
                static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            throw new TimeoutException($"The distributed cache did not answer within {limit:c}.");
        }
    }

    private sealed record Failure(long At);
}
