namespace Sparkfly.Auth.Handler;

/// <summary>Who is to ask for the fleet's token.</summary>
internal enum LeaseStanding
{
    /// <summary>This instance: its lease is in the cache.</summary>
    Own,

    /// <summary>Another instance, whose lease is in the cache.</summary>
    Foreign,

    /// <summary>No instance: another one has released it.</summary>
    Free,

    /// <summary>Unknown: this instance wrote its lease, and the cache does not return it.</summary>
    Lost,
}

/// <summary>
/// Settles which instance asks Sparkfly, as far as that can be done with an <see cref="Microsoft.Extensions.Caching.Distributed.IDistributedCache"/>,
/// which has no compare-and-swap: every instance that finds no lease writes one, waits until all have written, and reads it back. The last writer's
/// is there. Thread-safe.
/// </summary>
/// <remarks>
/// The race can be lost, and then two instances ask. Nothing depends on there being one: every token is good by itself. A lease
/// that is not authentic is ignored, so that only holders of the account's key can make an instance wait.
/// </remarks>
internal sealed class FleetLease(ISharedCache cache, SharedTokenCipher cipher, Guid instance, TimeSpan timeout, TimeProvider time)
{
    // By then, all instances that started at one moment have written theirs.
    private static readonly TimeSpan s_settling = TimeSpan.FromMilliseconds(250);

    // A lease outlives its instance by at most so much, and is written again three times as often.
    private static readonly TimeSpan s_lifetime = TimeSpan.FromSeconds(6);

    /// <summary>Takes the lease unless another instance has it.</summary>
    public async Task<LeaseStanding> TakeAsync(CancellationToken cancellationToken)
    {
        if (await LookAsync(cancellationToken).ConfigureAwait(false) == LeaseStanding.Foreign)
        {
            return LeaseStanding.Foreign;
        }

        await WriteAsync(time.GetUtcNow(), cancellationToken).ConfigureAwait(false);
        await Task.Delay(s_settling, time, cancellationToken).ConfigureAwait(false);
        return await LookAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Keeps the lease until the work is done. Throws where the cache fails meanwhile; the work goes on.</summary>
    public async Task KeepDuringAsync(Task work, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            while (await Task.WhenAny(work, Task.Delay(s_lifetime / 3, time, ended.Token)).ConfigureAwait(false) != work)
            {
                await WriteAsync(time.GetUtcNow(), cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            // The timer of the last delay does not outlive the work.
            ended.Cancel();
        }
    }

    /// <summary>
    /// Lets the next instance ask. The lease is overwritten rather than removed: an instance that wrote its own at this moment then reads that this one
    /// is done, and not that its lease was lost.
    /// </summary>
    public Task ReleaseAsync(CancellationToken cancellationToken) => WriteAsync(DateTimeOffset.MinValue, cancellationToken);

    private async Task<LeaseStanding> LookAsync(CancellationToken cancellationToken)
    {
        byte[]? entry = await cache.GetAsync(cipher.LeaseKey, timeout, cancellationToken).ConfigureAwait(false);
        return cipher.DecryptLease(entry) is not { } lease ? LeaseStanding.Lost
            : !IsRecent(lease) ? LeaseStanding.Free
            : lease.Instance == instance ? LeaseStanding.Own
            : LeaseStanding.Foreign;
    }

    // A cache may keep a lease longer than it should, and an old one may be written back.
    private bool IsRecent(SharedLease lease) => (time.GetUtcNow() - lease.WrittenAt).Duration() <= s_lifetime + FleetTokenSource.ClockSkew;

    private Task WriteAsync(DateTimeOffset writtenAt, CancellationToken cancellationToken) =>
        cache.SetAsync(cipher.LeaseKey, cipher.EncryptLease(new SharedLease(instance, writtenAt)), s_lifetime, timeout, cancellationToken);
}
