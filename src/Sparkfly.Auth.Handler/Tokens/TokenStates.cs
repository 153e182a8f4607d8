namespace Sparkfly.Auth.Handler;

/// <summary>
/// The token state of every account in use, so that two names of one account share one token. Disposed of with the service provider, which
/// ends every token request and all waits for one. Thread-safe.
/// </summary>
internal sealed class TokenStates(TimeProvider time) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _entries = [];
    private readonly CancellationTokenSource _disposing = new();

    /// <summary>Cancelled when the service provider is disposed.</summary>
    public CancellationToken Disposing => _disposing.Token;

    /// <summary>Gets the state of an account, to be given back with <see cref="Release"/> when its options have changed.</summary>
    /// <param name="accountDigest">The account.</param>
    /// <param name="last">The state to go on with where its last user has just released it.</param>
    public TokenState Acquire(string accountDigest, TokenState? last = null)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(accountDigest, out Entry? entry))
            {
                _entries[accountDigest] = entry = new Entry(last ?? new TokenState(time, Random.Shared));
            }

            entry.Users++;
            return entry.State;
        }
    }

    /// <summary>Removes the state of an account that is no longer used. A token request in flight still completes for its callers.</summary>
    public void Release(string accountDigest)
    {
        lock (_lock)
        {
            if (--_entries[accountDigest].Users == 0)
            {
                _entries.Remove(accountDigest);
            }
        }
    }

    // Not disposed of itself: a token request that starts late must still be able to see that it is cancelled.
    public void Dispose() => _disposing.Cancel();

    private sealed class Entry(TokenState state)
    {
        public TokenState State => state;

        public int Users { get; set; }
    }
}
