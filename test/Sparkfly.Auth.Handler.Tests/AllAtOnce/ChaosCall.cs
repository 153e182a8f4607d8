using System.Collections.Concurrent;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>One call of an application, with what was true when it was made.</summary>
/// <param name="Id">Stands in the address and in the body, and comes back in the answer.</param>
/// <param name="Ledger">The instance, with the credentials of the account that the call is for.</param>
/// <param name="Kind">What the service does with it: the last segment of its address.</param>
internal sealed record ChaosCall(string Id, ChaosLedger Ledger, string Kind)
{
    public DateTimeOffset At { get; } = Ledger.Time.GetUtcNow();

    public int KeyVersion { get; } = Ledger.Credentials.KeyVersion;

    public ChaosToken? NewestInUse { get; } = Ledger.NewestInUse;

    public Uri Address => new($"http://{Ledger.Credentials.Host}/v1.0/{Kind}?{Id}");

    public override string ToString() => $"call {Id} ({Kind}, {At:T})";
}

/// <summary>One message that reaches the Sparkfly handler, with what the handler sent for it. A retry or a hedged copy is another attempt.</summary>
internal sealed class ChaosAttempt
{
    private int _messages;
    private int _isAccepted;

    public bool IsAccepted => Volatile.Read(ref _isAccepted) != 0;

    public void Accept() => Volatile.Write(ref _isAccepted, 1);

    /// <summary>Counts a message on the wire.</summary>
    /// <returns>How many there were with this one.</returns>
    public int CountMessage() => Interlocked.Increment(ref _messages);
}

/// <summary>The calls and attempts that are under way. Thread-safe.</summary>
internal sealed class ChaosTraffic
{
    /// <summary>On each message that comes to our handler: which attempt it is.</summary>
    public const string AttemptHeader = "X-Attempt";

    private int _attempts;

    public ConcurrentDictionary<string, ChaosCall> Calls { get; } = new();

    public ConcurrentDictionary<string, ChaosAttempt> Attempts { get; } = new();

    public string NewAttempt()
    {
        string number = $"{Interlocked.Increment(ref _attempts)}";
        Attempts[number] = new ChaosAttempt();
        return number;
    }
}
