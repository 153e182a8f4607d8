namespace Sparkfly.Auth.Handler;

/// <summary>The cache that a fleet shares, with a bound on each operation. Thread-safe.</summary>
internal interface ISharedCache
{
    /// <summary>Whether connecting failed recently, so that no operation should wait for it.</summary>
    bool IsOpen { get; }

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    /// <returns>Null for a miss, which some caches return as an empty array.</returns>
    Task<byte[]?> GetAsync(string key, TimeSpan timeout, CancellationToken cancellationToken);

    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    Task SetAsync(string key, byte[] value, TimeSpan lifetime, TimeSpan timeout, CancellationToken cancellationToken);
}
