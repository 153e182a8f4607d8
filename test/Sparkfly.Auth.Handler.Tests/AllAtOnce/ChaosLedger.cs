namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The token requests of one instance, from its start to its end, with one set of credentials. Thread-safe.</summary>
/// <param name="credentials">The credentials.</param>
/// <param name="time">The true time of the instance's world.</param>
/// <param name="allowed">How many tokens what has happened so far allows; null where another rule counts.</param>
internal sealed class ChaosLedger(ChaosCredentials credentials, TimeProvider time, Func<ChaosCredentials, double>? allowed = null)
{
    /// <summary>The first one and, where an event lies at the start or the end of the instance, one for what had begun by then.</summary>
    private const int Always = 3;

    private readonly double _allowedAtStart = allowed?.Invoke(credentials) ?? 0;
    private readonly Lock _lock = new();
    private readonly Dictionary<int, int> _inFlight = [];
    private ChaosToken? _newestInUse;
    private double? _allowedAtEnd;

    public ChaosCredentials Credentials => credentials;

    public TimeProvider Time => time;

    /// <summary>How far the instance's clock, or that of one it shares a token with, may be from where it was when a token was obtained.</summary>
    public TimeSpan Skew { get; init; }

    /// <summary>The instances whose tokens it may use: itself, or its fleet.</summary>
    public object? Fleet { get; init; }

    public int Obtained { get; private set; }

    public int Failed { get; private set; }

    /// <summary>The most tokens that the instance may have obtained.</summary>
    public int Bound => allowed is null ? int.MaxValue : Always + (int)Math.Ceiling((_allowedAtEnd ?? allowed(credentials)) - _allowedAtStart);

    /// <summary>The most token requests at one time for one key.</summary>
    public int MostInFlight { get; private set; }

    /// <summary>The newest token that has been seen in use. No caller that sends a request from then on may use an older one.</summary>
    public ChaosToken? NewestInUse => Volatile.Read(ref _newestInUse);

    public bool MayUse(ChaosToken token) => token.Owner == this || (Fleet is not null && token.Owner.Fleet == Fleet);

    /// <summary>The instance has ended, and may obtain nothing more.</summary>
    public void End() => _allowedAtEnd = allowed?.Invoke(credentials);

    public void NoteUse(ChaosToken token)
    {
        lock (_lock)
        {
            if (_newestInUse is null || token.Order > _newestInUse.Order)
            {
                _newestInUse = token;
            }
        }
    }

    public void NoteArrival(int keyVersion)
    {
        lock (_lock)
        {
            MostInFlight = Math.Max(MostInFlight, _inFlight[keyVersion] = _inFlight.GetValueOrDefault(keyVersion) + 1);
        }
    }

    public void NoteEnd(int keyVersion, bool isObtained)
    {
        lock (_lock)
        {
            _inFlight[keyVersion]--;
            Obtained += isObtained ? 1 : 0;
            Failed += isObtained ? 0 : 1;
        }
    }
}
