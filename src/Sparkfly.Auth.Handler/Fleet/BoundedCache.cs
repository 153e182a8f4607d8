using Microsoft.Extensions.Caching.Distributed;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The application's <see cref="IDistributedCache"/>, with a bound on each operation. It is made at its first use, within that bound: making it may
/// fail, or take long, like any other operation. Thread-safe.
/// </summary>
internal sealed class BoundedCache(Func<IDistributedCache> factory, TimeProvider time) : ISharedCache
{
    /// <summary>How long the start of the host waits for a connection. Instances that start together on few cores take seconds for theirs.</summary>
    public static readonly TimeSpan ConnectionAtStart = TimeSpan.FromSeconds(15);

    // A cold process on a busy machine was seen to take four seconds for its first connection.
    private static readonly TimeSpan s_firstConnection = TimeSpan.FromSeconds(5);

    // The only way to make an IDistributedCache connect, and to have the code behind it compiled, is to use it.
    private const string ConnectingKey = "sparkfly-auth:connect";

    private readonly Lock _lock = new();
    private readonly CircuitBreaker _connection = new(time);

    // Mutable, guarded by the lock.
    private Task<IDistributedCache>? _making;

    // Whether the time for a first connection is spent, with or without success. Connecting continues after the wait has ended.
    private volatile bool _isConnectionTried;

    /// <inheritdoc/>
    public bool IsOpen => _connection.IsOpen;

    /// <summary>
    /// Connects while the host starts, because a first connection can take longer than a token request may wait. Each operation is made once: a byte
    /// is read, written and removed. After a failure the cache is left alone for a while.
    /// </summary>
    public async Task ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RunAsync(UseAsync, ConnectionAtStart, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception)
        {
            _connection.Trip();
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task<byte[]?> GetAsync(string key, TimeSpan timeout, CancellationToken cancellationToken) =>
        await BoundAsync((cache, bound) => cache.GetAsync(key, bound), timeout, cancellationToken).ConfigureAwait(false) is { Length: > 0 } entry ? entry : null;

    /// <inheritdoc/>
    public Task SetAsync(string key, byte[] value, TimeSpan lifetime, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var options = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = lifetime };
        return BoundAsync(
            async (cache, bound) =>
            {
                await cache.SetAsync(key, value, options, bound).ConfigureAwait(false);
                return value;
            },
            timeout,
            cancellationToken);
    }

    private static async Task<byte[]?> UseAsync(IDistributedCache cache, CancellationToken cancellationToken)
    {
        byte[]? found = await cache.GetAsync(ConnectingKey, cancellationToken).ConfigureAwait(false);
        var options = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(1) };
        await cache.SetAsync(ConnectingKey, [0], options, cancellationToken).ConfigureAwait(false);
        await cache.RemoveAsync(ConnectingKey, cancellationToken).ConfigureAwait(false);
        return found;
    }

    private Task<TResult> BoundAsync<TResult>(
        Func<IDistributedCache, CancellationToken, Task<TResult>> operation, TimeSpan timeout, CancellationToken cancellationToken) =>
        RunAsync(operation, _isConnectionTried ? timeout : timeout.AtLeast(s_firstConnection), cancellationToken);

    private async Task<TResult> RunAsync<TResult>(
        Func<IDistributedCache, CancellationToken, Task<TResult>> operation, TimeSpan limit, CancellationToken cancellationToken)
    {
        try
        {
            return await TimeLimit.RunAsync(
                $"The distributed cache did not answer within {limit:c}.",
                async bound => await operation(await MakeAsync().ConfigureAwait(false), bound).ConfigureAwait(false),
                limit,
                time,
                cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _isConnectionTried = true;
        }
    }

    // One at a time, so that a factory which never returns holds one thread and not one for each operation.
    private Task<IDistributedCache> MakeAsync()
    {
        lock (_lock)
        {
            return _making is { IsFaulted: false, IsCanceled: false } making ? making : _making = Task.Run(factory);
        }
    }
}
