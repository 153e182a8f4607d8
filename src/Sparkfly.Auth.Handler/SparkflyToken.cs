using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>A token of Sparkfly's API, as one account holds it. Immutable.</summary>
/// <remarks>Its value appears in no <see cref="ToString"/> and no debugger view; only <see cref="Value"/> gives it.</remarks>
[DebuggerDisplay("{ToString(),nq}")]
public sealed class SparkflyToken
{
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly string _value;

    /// <summary>Initializes a new instance of the <see cref="SparkflyToken"/> class.</summary>
    /// <param name="value">What is sent as <c>X-Auth-Token</c>: visible ASCII characters, no white space.</param>
    /// <param name="obtainedAt">When the token request was sent.</param>
    /// <param name="expiresAt">From when the token is no longer used here, the safety margin already taken off.</param>
    /// <exception cref="ArgumentException"><paramref name="value"/> is empty or cannot stand in a header.</exception>
    public SparkflyToken(string value, DateTimeOffset obtainedAt, DateTimeOffset expiresAt)
    {
        ArgumentException.ThrowIfNullOrEmpty(value);
        if (!HeaderText.IsToken(value))
        {
            // Says nothing of the value: it may be a good token with a stray line break.
            throw new ArgumentException("A token is visible ASCII characters without white space.", nameof(value));
        }

        _value = value;
        ObtainedAt = obtainedAt;
        ExpiresAt = expiresAt;
    }

    /// <summary>Gets what is sent as <c>X-Auth-Token</c>: a secret.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string Value => _value;

    /// <summary>Gets the moment the token request was sent; the token's lifetime counts from it.</summary>
    public DateTimeOffset ObtainedAt { get; }

    /// <summary>Gets the moment from which the token is no longer used here: its end, the safety margin taken off.</summary>
    public DateTimeOffset ExpiresAt { get; }

    /// <summary>Whether another instance of the fleet has asked for it.</summary>
    internal bool IsShared { get; init; }

    /// <summary>Returns when the token was obtained and until when it is used; never its value.</summary>
    /// <returns>A text without secrets.</returns>
    public override string ToString() => $"Sparkfly token obtained {ObtainedAt:u}, used until {ExpiresAt:u}";

    /// <summary>Whether both are the same token of the same token request; a service may hand out one value twice.</summary>
    internal bool IsSameAs(SparkflyToken other) =>
        ReferenceEquals(this, other) || (ObtainedAt == other.ObtainedAt && string.Equals(_value, other._value, StringComparison.Ordinal));
}
