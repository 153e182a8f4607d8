using System.Security.Cryptography;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Settles which instance asks Sparkfly, as far as that can be done with an <see cref="Microsoft.Extensions.Caching.Distributed.IDistributedCache"/>,
/// which has no compare-and-swap: everyone who finds no claim writes one, waits until all have written, and reads it back. The last writer's is
/// there. Thread-safe.
/// </summary>
/// <remarks>The race can be lost, and then two ask. Nothing rests on there being one: every token is good by itself.</remarks>
internal sealed class FleetLease(BoundedCache cache, string key, TimeSpan timeout, TimeProvider time)
{
    // All who start at one moment have written by then.
    private static readonly TimeSpan s_settling = TimeSpan.FromMilliseconds(250);

    // A claim outlives its instance by at most so much, and is written again three times as often.
    private static readonly TimeSpan s_lifetime = TimeSpan.FromSeconds(6);

    private readonly byte[] _lease = RandomNumberGenerator.GetBytes(16);

    /// <summary>Whether it is for this instance to ask. False at once where another's claim is there.</summary>
    public async Task<bool> TryTakeAsync(CancellationToken cancellationToken)
    {
        if (await cache.GetAsync(key, timeout, cancellationToken).ConfigureAwait(false) is not null)
        {
            return false;
        }

        await WriteAsync(cancellationToken).ConfigureAwait(false);
        await Task.Delay(s_settling, time, cancellationToken).ConfigureAwait(false);
        return await IsOursAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Holds it until the work is done; a cache that fails meanwhile lets it go.</summary>
    public async Task KeepDuringAsync(Task work, CancellationToken cancellationToken)
    {
        while (await Task.WhenAny(work, Task.Delay(s_lifetime / 3, time, cancellationToken)).ConfigureAwait(false) != work)
        {
            await WriteAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Lets the next one ask, where this one's work has come to nothing; who waits has its token otherwise.</summary>
    public async Task ReleaseAsync(CancellationToken cancellationToken)
    {
        if (await IsOursAsync(cancellationToken).ConfigureAwait(false))
        {
            await cache.RemoveAsync(key, timeout, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<bool> IsOursAsync(CancellationToken cancellationToken) =>
        (await cache.GetAsync(key, timeout, cancellationToken).ConfigureAwait(false)).AsSpan().SequenceEqual(_lease);

    private Task WriteAsync(CancellationToken cancellationToken) => cache.SetAsync(key, _lease, s_lifetime, timeout, cancellationToken);
}
