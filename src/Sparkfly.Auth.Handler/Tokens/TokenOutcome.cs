namespace Sparkfly.Auth.Handler;

/// <summary>A token request in flight, and the outcome that callers wait for.</summary>
internal sealed class PendingTokenRequest(AccountSettings settings, SparkflyToken? replaced)
{
    public TokenRequest Request { get; } = new(settings, replaced);

    public SingleFlight<TokenOutcome> Flight { get; } = new();
}

/// <summary>How a token request ended: with a token, or with the backoff that a failure starts; with neither where disposing has ended it.</summary>
internal sealed class TokenOutcome(SparkflyToken? token, Backoff? failure)
{
    public SparkflyToken? Token => token;

    public Backoff? Failure => failure;

    public static TokenOutcome Disposed { get; } = new(null, null);
}

/// <summary>The time after a failed token request without a further one, and the reason that callers are told meanwhile.</summary>
/// <param name="Reason">The failure.</param>
/// <param name="Failures">The number of consecutive failures.</param>
/// <param name="Since">The monotonic timestamp of the failure.</param>
/// <param name="Length">The duration of the backoff.</param>
/// <param name="RetryAt">The end on the clock, for people; decisions are made on the monotonic timestamp.</param>
/// <param name="FailingSince">When the first of the consecutive failures happened, on the clock.</param>
/// <param name="TokenWasGood">
/// Whether the account had a token that was not due: a 401 forced the renewal that failed. Then no further attempt is certain, and nothing fails any
/// more when the backoff is over.
/// </param>
internal sealed record Backoff(
    AuthFailure Reason, int Failures, long Since, TimeSpan Length, DateTimeOffset RetryAt, DateTimeOffset FailingSince, bool TokenWasGood);
