using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Distributed;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What is wrong with the cache that a fleet shares: what <c>docs/fleet.md</c> lists.</summary>
internal enum ChaosCacheTrouble
{
    Works,
    Throws,
    ThrowsNowAndThen,
    Hangs,
    IsSlow,
    DropsWrites,
    LagsBehind,
    Forgets,
    GivesEmptyEntries,
    ChangesBytes,
    StrangerWritesLeases,
    OldLeasesArePutBack,
    RefusesTokens,
    KeepsLeasesForEver,
}

/// <summary>A distributed cache that fails as it is told. Thread-safe.</summary>
internal sealed class ChaosCache(TimeProvider time) : IDistributedCache
{
    // The last two versions of each key.
    private readonly ConcurrentDictionary<string, (Entry Last, Entry? Former)> _entries = new();

    public ChaosCacheTrouble Trouble { get; set; }

    public async Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        await FailAsync(token);
        if (Trouble == ChaosCacheTrouble.Forgets && Random.Shared.Next(3) == 0)
        {
            _entries.TryRemove(key, out _);
        }

        if (!_entries.TryGetValue(key, out (Entry Last, Entry? Former) versions))
        {
            return null;
        }

        bool isLease = SharedCache.IsLease(key);
        bool isFormer = versions.Former is not null &&
            (Trouble == ChaosCacheTrouble.LagsBehind || (Trouble == ChaosCacheTrouble.OldLeasesArePutBack && isLease && Random.Shared.Next(2) == 0));
        Entry entry = isFormer ? versions.Former! : versions.Last;
        bool isKept = Trouble == ChaosCacheTrouble.KeepsLeasesForEver && isLease;
        return Trouble == ChaosCacheTrouble.GivesEmptyEntries ? []
            : time.GetElapsedTime(entry.At) >= entry.Lifetime && !isKept ? null
            : Trouble == ChaosCacheTrouble.ChangesBytes ? Changed(entry.Value)
            : entry.Value;
    }

    public async Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        await FailAsync(token);
        bool isLease = SharedCache.IsLease(key);
        if (Trouble == ChaosCacheTrouble.RefusesTokens && !isLease)
        {
            throw new InvalidOperationException("The entry is too big.");
        }

        if (Trouble == ChaosCacheTrouble.DropsWrites)
        {
            return;
        }

        byte[] written = Trouble == ChaosCacheTrouble.StrangerWritesLeases && isLease ? Changed(value) : value;
        var entry = new Entry(written, time.GetTimestamp(), options.AbsoluteExpirationRelativeToNow!.Value);
        _entries.AddOrUpdate(key, _ => (entry, null), (_, versions) => (entry, versions.Last));
    }

    public byte[]? Get(string key) => throw new NotSupportedException();

    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => throw new NotSupportedException();

    public void Remove(string key) => throw new NotSupportedException();

    public Task RemoveAsync(string key, CancellationToken token = default) => throw new NotSupportedException();

    public void Refresh(string key) => throw new NotSupportedException();

    public Task RefreshAsync(string key, CancellationToken token = default) => throw new NotSupportedException();

    private async Task FailAsync(CancellationToken cancellationToken)
    {
        switch (Trouble)
        {
            case ChaosCacheTrouble.Throws:
            case ChaosCacheTrouble.ThrowsNowAndThen when Random.Shared.Next(4) == 0:
                throw new InvalidOperationException("The cache is gone.");
            case ChaosCacheTrouble.Hangs:
                await Task.Delay(Timeout.Infinite, cancellationToken);
                break;
            case ChaosCacheTrouble.IsSlow:
                await Task.Delay(Random.Shared.Next(60), cancellationToken);
                break;
            default:
                await Task.Yield();
                break;
        }
    }

    private static byte[] Changed(byte[] value)
    {
        byte[] changed = [.. value];
        changed[Random.Shared.Next(changed.Length)] ^= 0x40;
        return changed;
    }

    private sealed record Entry(byte[] Value, long At, TimeSpan Lifetime);
}
