using System.Security.Cryptography;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The credentials that are accepted, and the tokens that were given out. Thread-safe.</summary>
internal sealed class IssuedTokens
{
    private static readonly TimeSpan s_lifetime = TimeSpan.FromDays(1);

    // Guarded by the lock.
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Issued> _tokens = [];
    private readonly Dictionary<string, string> _accepted = [];
    private readonly HashSet<string> _rejected = [];

    public void Accept(string identity, string key)
    {
        lock (_lock)
        {
            _accepted[identity] = key;
            _rejected.Remove(identity);
        }
    }

    public void Reject(string identity)
    {
        lock (_lock)
        {
            _rejected.Add(identity);
        }
    }

    /// <summary>Accepts all credentials again. Tokens stay as they are.</summary>
    public void ForgetCredentials()
    {
        lock (_lock)
        {
            _accepted.Clear();
            _rejected.Clear();
        }
    }

    /// <summary>Gives out a new token; null for credentials that are not accepted.</summary>
    public string? Issue(string? identity, string? key, DateTimeOffset now)
    {
        lock (_lock)
        {
            if (string.IsNullOrEmpty(identity) || string.IsNullOrEmpty(key) || !IsAccepted_NeedsLock(identity, key))
            {
                return null;
            }

            // 64 hex digits, as seen in the wild.
            string token = Convert.ToHexString(RandomNumberGenerator.GetBytes(32)).ToLowerInvariant();
            _tokens.Add(token, new Issued(identity, now, _tokens.Count + 1));
            return token;
        }
    }

    /// <summary>Takes a token that the test's own answer gives out for one like any other.</summary>
    public void Note(string token, string? identity, DateTimeOffset now)
    {
        lock (_lock)
        {
            _tokens[token] = new Issued(identity, now, _tokens.GetValueOrDefault(token)?.Number ?? _tokens.Count + 1);
        }
    }

    public bool IsGood(string? token, DateTimeOffset now)
    {
        lock (_lock)
        {
            return Find_NeedsLock(token) is { IsRevoked: false } issued && now < issued.At + s_lifetime;
        }
    }

    public bool IsKnown(string? token) => NumberOf(token) is not null;

    /// <summary>Which of the tokens it is, counted from one in the order in which they were given out.</summary>
    public int? NumberOf(string? token)
    {
        lock (_lock)
        {
            return Find_NeedsLock(token)?.Number;
        }
    }

    public string? IdentityOf(string? token)
    {
        lock (_lock)
        {
            return Find_NeedsLock(token)?.Identity;
        }
    }

    /// <summary>Revokes the tokens for which this is true of their value and identity.</summary>
    public void Revoke(Func<string, string?, bool> isMeant)
    {
        lock (_lock)
        {
            foreach ((string token, Issued issued) in _tokens)
            {
                issued.IsRevoked |= isMeant(token, issued.Identity);
            }
        }
    }

    private bool IsAccepted_NeedsLock(string identity, string key) =>
        !_rejected.Contains(identity) && (_accepted.Count == 0 || (_accepted.TryGetValue(identity, out string? accepted) && accepted == key));

    private Issued? Find_NeedsLock(string? token) => token is null ? null : _tokens.GetValueOrDefault(token);

    private sealed class Issued(string? identity, DateTimeOffset at, int number)
    {
        public string? Identity => identity;

        public DateTimeOffset At => at;

        public int Number => number;

        public bool IsRevoked { get; set; }
    }
}
