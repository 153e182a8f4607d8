namespace Sparkfly.Auth.Handler;

/// <summary>One token request in flight, and the place where callers wait for its outcome.</summary>
/// <param name="settings">What is asked with.</param>
/// <param name="replaced">The token that it replaces; null on a cold start.</param>
internal sealed class TokenRequest(AccountSettings settings, SparkflyToken? replaced)
{
    // Never faulted: each caller throws an exception of its own. Asynchronous continuations, so that no caller's code runs in the request's.
    private readonly TaskCompletionSource<TokenOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public AccountSettings Settings => settings;

    public SparkflyToken? Replaced => replaced;

    /// <summary>
    /// Whether a 401 asked for it. Set under the lock of <see cref="AccountTokens"/>, also while it runs; read without it where a fleet's token is
    /// looked at, which may be before a 401 joins: then the fleet's interval is looked at the next time.
    /// </summary>
    public bool IsForced { get; set; }

    public Task<TokenOutcome> Outcome => _outcome.Task;

    public void End(TokenOutcome outcome) => _outcome.TrySetResult(outcome);
}

/// <summary>How a token request ended: with a token, or with the backoff that a failure starts; with neither where it was disposed of.</summary>
internal sealed class TokenOutcome(SparkflyToken? token, Backoff? failure)
{
    public SparkflyToken? Token => token;

    public Backoff? Failure => failure;

    public static TokenOutcome Disposed { get; } = new(null, null);

    /// <summary>That nothing has changed, so that each caller decides again.</summary>
    public static TokenOutcome Unchanged { get; } = new(null, null);
}

/// <summary>The time after a failed token request in which nobody asks again, and why.</summary>
/// <param name="Reason">What every caller in between is told.</param>
/// <param name="Failures">How many requests have failed in a row.</param>
/// <param name="Since">The monotonic timestamp of the failure.</param>
/// <param name="Length">How long nobody asks.</param>
/// <param name="RetryAt">The end on the clock, for people; decisions are made on the monotonic one.</param>
/// <param name="FailingSince">When the first of the row failed, on the clock.</param>
/// <param name="TokenWasGood">
/// Whether the account had a token that was not due: a 401 forced the renewal that failed. Then nobody tries again by necessity, and nothing fails
/// any more when this is over.
/// </param>
internal sealed record Backoff(
    AuthFailure Reason, int Failures, long Since, TimeSpan Length, DateTimeOffset RetryAt, DateTimeOffset FailingSince, bool TokenWasGood);
