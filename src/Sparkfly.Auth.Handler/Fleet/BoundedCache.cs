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
    private static readonly TimeSpan s_connectionAtStart = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_memoryOfFailure = TimeSpan.FromSeconds(30);

    // The only way to make an IDistributedCache connect, and to have the code behind it compiled, is to use it.
    private const string ConnectingKey = "sparkfly-auth:connect";

    private volatile bool _isConnected;
    private volatile Failure? _failure;

    /// <summary>Whether it has failed lately.</summary>
    public bool IsOpen => _failure is { } failure && time.GetElapsedTime(failure.At) < s_memoryOfFailure;

    /// <summary>
    /// Has it connected ahead of its first use, while the host starts: instances that start together on few cores take longer for theirs than a
    /// token request may wait. So that each operation has been made once, a byte is written and removed again. Waited for with a bound; whoever
    /// needs the cache is told of a failure, so this says nothing of it.
    /// </summary>
    public async Task ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RunAsync(UseAsync, s_connectionAtStart, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            // See above.
        }
    }

    /// <summary>Leaves it alone from now on, for a while.</summary>
    public void Trip() => _failure = new Failure(time.GetTimestamp());

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public Task<byte[]?> GetAsync(string key, TimeSpan timeout, CancellationToken cancellationToken) =>
        BoundAsync(bound => cache.GetAsync(key, bound), timeout, cancellationToken);

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public Task SetAsync(string key, byte[] value, TimeSpan lifetime, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var options = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = lifetime };
        return BoundAsync(bound => WithoutResultAsync(cache.SetAsync(key, value, options, bound)), timeout, cancellationToken);
    }

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public Task RemoveAsync(string key, TimeSpan timeout, CancellationToken cancellationToken) =>
        BoundAsync(bound => WithoutResultAsync(cache.RemoveAsync(key, bound)), timeout, cancellationToken);

    private Task<TResult> BoundAsync<TResult>(Func<CancellationToken, Task<TResult>> operation, TimeSpan timeout, CancellationToken cancellationToken) =>
        RunAsync(operation, _isConnected || timeout > s_firstConnection ? timeout : s_firstConnection, cancellationToken);

    private async Task<TResult> RunAsync<TResult>(Func<CancellationToken, Task<TResult>> operation, TimeSpan limit, CancellationToken cancellationToken)
    {
        TResult result = await TimeLimit.RunAsync($"The distributed cache did not answer within {limit:c}.", operation, limit, time, cancellationToken)
            .ConfigureAwait(false);
        _isConnected = true;
        return result;
    }

    private async Task<bool> UseAsync(CancellationToken cancellationToken)
    {
        await cache.GetAsync(ConnectingKey, cancellationToken).ConfigureAwait(false);
        var options = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(1) };
        await cache.SetAsync(ConnectingKey, [0], options, cancellationToken).ConfigureAwait(false);
        await cache.RemoveAsync(ConnectingKey, cancellationToken).ConfigureAwait(false);
        return true;
    }

    private static async Task<bool> WithoutResultAsync(Task operation)
    {
        await operation.ConfigureAwait(false);
        return true;
    }

    private sealed record Failure(long At);
}
