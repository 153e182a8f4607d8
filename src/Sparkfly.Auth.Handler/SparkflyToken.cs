using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>A token of Sparkfly's API, as one account holds it. Immutable.</summary>
/// <remarks>Only <see cref="Value"/> gives the value; <see cref="ToString"/> and debugger views do not show it.</remarks>
[DebuggerDisplay("{ToString(),nq}")]
public sealed class SparkflyToken
{
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly string _value;

    /// <summary>Initializes a new instance of the <see cref="SparkflyToken"/> class.</summary>
    /// <param name="value">The value of <c>X-Auth-Token</c>: visible ASCII characters, no white space.</param>
    /// <param name="obtainedAt">When the token request was sent.</param>
    /// <param name="expiresAt">From when on the token is not used: the end of its lifetime, less the safety margin.</param>
    /// <exception cref="ArgumentException"><paramref name="value"/> is empty or not a valid header value.</exception>
    public SparkflyToken(string value, DateTimeOffset obtainedAt, DateTimeOffset expiresAt)
    {
        ArgumentException.ThrowIfNullOrEmpty(value);
        if (!HeaderText.IsToken(value))
        {
            // Without the value: it may be a good token with a stray line break.
            throw new ArgumentException("A token is visible ASCII characters without white space.", nameof(value));
        }

        _value = value;
        ObtainedAt = obtainedAt;
        ExpiresAt = expiresAt;
    }

    /// <summary>Gets the value of <c>X-Auth-Token</c>, which is a secret.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string Value => _value;

    /// <summary>Gets the time when the token request was sent. The token's lifetime counts from it.</summary>
    public DateTimeOffset ObtainedAt { get; }

    /// <summary>Gets the time from which on the token is not used: the end of its lifetime, less the safety margin.</summary>
    public DateTimeOffset ExpiresAt { get; }

    /// <summary>Whether another instance of the fleet has obtained it.</summary>
    internal bool IsShared { get; init; }

    /// <summary>Returns when the token was obtained and until when it is used, not its value.</summary>
    /// <returns>A text without secrets.</returns>
    public override string ToString() => $"Sparkfly token obtained {ObtainedAt:u}, used until {ExpiresAt:u}";

    /// <summary>Whether both come from the same token request. A service may give one value twice.</summary>
    internal bool IsSameAs(SparkflyToken other) =>
        ReferenceEquals(this, other) || (ObtainedAt == other.ObtainedAt && string.Equals(_value, other._value, StringComparison.Ordinal));
}
