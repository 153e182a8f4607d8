namespace Sparkfly.Auth.Handler;

/// <summary>What a caller does next. One of: use the token, wait for the request, fail with the backoff's reason.</summary>
/// <param name="Token">The token to use.</param>
/// <param name="Pending">The token request to wait for or, with a token, to start in the background.</param>
/// <param name="MustStart">Whether this caller is the one that starts the request.</param>
/// <param name="Failure">Why there is no token.</param>
internal readonly record struct TokenDecision(SparkflyToken? Token, PendingTokenRequest? Pending, bool MustStart, Backoff? Failure)
{
    public static TokenDecision Use(SparkflyToken token) => new(token, null, false, null);

    public static TokenDecision UseAndStart(SparkflyToken token, PendingTokenRequest pending) => new(token, pending, true, null);

    public static TokenDecision WaitFor(PendingTokenRequest pending, bool mustStart) => new(null, pending, mustStart, null);

    public static TokenDecision Fail(Backoff failure) => new(null, null, false, failure);
}

/// <summary>
/// The state machine of one account's token: which token to use, whether to request one, which callers wait. It starts nothing itself, and runs no I/O and no
/// code of the application. Thread-safe. <c>docs/resilience.md</c> has the token states, and what a request and a 401 do in each.
/// </summary>
/// <remarks>
/// An account is what <see cref="AccountSettings.AccountDigest"/> says, not its name: two names of one account share this object, each with its own
/// durations. That is why each call brings the settings.
/// </remarks>
internal sealed class TokenState(TimeProvider time, Random random)
{
    // A service that asks to wait until tomorrow must not take the application down until then.
    private static readonly TimeSpan s_longestRetryAfter = TimeSpan.FromMinutes(15);

    private readonly Lock _lock = new();

    // Mutable, guarded by the lock. The token is read without it on the warm path.
    private volatile CachedToken? _token;
    private PendingTokenRequest? _pending;
    private Backoff? _backoff;
    private long? _forcedAt;

    /// <summary>The warm path: the token, where it is usable and not due for renewal; else null. Takes no lock.</summary>
    public SparkflyToken? Warm(AccountSettings settings) =>
        _token is { Standing: not TokenStanding.SetAside } token && !token.IsDue(time.GetUtcNow(), settings) ? token.Token : null;

    /// <summary>For a request on its way, in any state.</summary>
    public TokenDecision Get(AccountSettings settings)
    {
        lock (_lock)
        {
            return !IsUsable_NeedsLock(settings) ? WaitOrFail_NeedsLock(settings, _token?.Token)
                : MayRenewAhead_NeedsLock(settings) ? TokenDecision.UseAndStart(_token!.Token, NewRequest_NeedsLock(settings, _token.Token))
                : TokenDecision.Use(_token!.Token);
        }
    }

    /// <summary>For a request whose token was answered with 401, in any state.</summary>
    public TokenDecision Renew(AccountSettings settings, SparkflyToken rejected)
    {
        lock (_lock)
        {
            bool isUsable = IsUsable_NeedsLock(settings);
            if (isUsable && !_token!.Token.IsSameAs(rejected))
            {
                // The response is late: the token has been replaced already.
                return TokenDecision.Use(_token.Token);
            }

            if (isUsable && _pending is null && IsForcedTooSoon_NeedsLock(settings))
            {
                return TokenDecision.Use(rejected);
            }

            TokenDecision decision = WaitOrFail_NeedsLock(settings, rejected);
            if (decision.Pending is { } pending)
            {
                pending.Request.IsForced = true;
                SetAside_NeedsLock(rejected);
            }

            return decision;
        }
    }

    /// <summary>Takes the response to the request that <see cref="Get"/> or <see cref="Renew"/> has given out to be started.</summary>
    /// <returns>What callers that wait are told.</returns>
    public TokenOutcome Complete(TokenRequest request, TokenResponse response)
    {
        lock (_lock)
        {
            _pending = null;
            if (response.SinceForced is { } sinceForced)
            {
                // The fleet was forced to renew within the interval: for this instance that is as if it had done so itself, and then.
                Restore_NeedsLock(TokenStanding.Good);
                _token ??= NewToken(response.Token!);
                _forcedAt = time.GetTimestamp() - (long)(sinceForced.TotalSeconds * time.TimestampFrequency);
                return new TokenOutcome(_token.Token, null);
            }

            if (response.Token is { } token)
            {
                _token = NewToken(token);
                _backoff = null;
                _forcedAt = request.IsForced && !token.IsShared ? time.GetTimestamp() : _forcedAt;
                return new TokenOutcome(token, null);
            }

            Restore_NeedsLock(TokenStanding.Doubtful);
            if (response.Failure is not { } failure)
            {
                return TokenOutcome.Disposed;
            }

            _backoff = NextBackoff_NeedsLock(failure, request.Settings);
            return new TokenOutcome(null, _backoff);
        }
    }

    /// <summary>
    /// The last failure while it matters: until its backoff ends if a 401 forced the renewal, until the next success if the token was due.
    /// </summary>
    public Backoff? LastFailure(AccountSettings settings)
    {
        lock (_lock)
        {
            return IsBackingOff_NeedsLock() || (_backoff is { TokenWasGood: false } && IsDue_NeedsLock(settings)) ? _backoff : null;
        }
    }

    /// <summary>Ends the backoff, in any state: the options have changed.</summary>
    public void EndBackoff()
    {
        lock (_lock)
        {
            _backoff = null;
        }
    }

    private bool IsUsable_NeedsLock(AccountSettings settings) =>
        _token is { Standing: not TokenStanding.SetAside } token && token.IsUsable(time.GetUtcNow(), settings);

    // Where the token is usable.
    private bool MayRenewAhead_NeedsLock(AccountSettings settings) => _pending is null && IsDue_NeedsLock(settings) && !IsBackingOff_NeedsLock();

    // Wherever the caller cannot use the token: waits for the request in flight, else starts one unless a backoff forbids it.
    private TokenDecision WaitOrFail_NeedsLock(AccountSettings settings, SparkflyToken? replaced) =>
        _pending is { } pending ? TokenDecision.WaitFor(pending, mustStart: false)
        : IsBackingOff_NeedsLock() ? TokenDecision.Fail(_backoff!)
        : TokenDecision.WaitFor(NewRequest_NeedsLock(settings, replaced), mustStart: true);

    private PendingTokenRequest NewRequest_NeedsLock(AccountSettings settings, SparkflyToken? replaced) =>
        _pending = new PendingTokenRequest(settings, replaced);

    // To SetAside: new callers wait for the replacement rather than collect a 401 each. A doubtful token stays in use.
    private void SetAside_NeedsLock(SparkflyToken rejected)
    {
        if (_token is { Standing: TokenStanding.Good } token && token.Token.IsSameAs(rejected))
        {
            _token = token with { Standing = TokenStanding.SetAside };
        }
    }

    // From SetAside: the token was not replaced.
    private void Restore_NeedsLock(TokenStanding standing)
    {
        if (_token is { Standing: TokenStanding.SetAside } token)
        {
            _token = token with { Standing = standing };
        }
    }

    private CachedToken NewToken(SparkflyToken token) => new(token, random.NextDouble());

    private bool IsForcedTooSoon_NeedsLock(AccountSettings settings) =>
        _forcedAt is { } forcedAt && time.GetElapsedTime(forcedAt) < settings.UnauthorizedRefreshInterval;

    private bool IsDue_NeedsLock(AccountSettings settings) =>
        _token is not { Standing: not TokenStanding.SetAside } token || token.IsDue(time.GetUtcNow(), settings);

    private bool IsBackingOff_NeedsLock() => _backoff is { } backoff && time.GetElapsedTime(backoff.Since) < backoff.Length;

    private Backoff NextBackoff_NeedsLock(AuthFailure failure, AccountSettings settings)
    {
        // A failure while the token was good belongs to the row as long as 401s go on forcing renewals.
        Backoff? former = _backoff is { TokenWasGood: true } last && time.GetElapsedTime(last.Since) >= last.Length + settings.MaxFailureBackoff
            ? null
            : _backoff;
        int failures = (former?.Failures ?? 0) + 1;
        double doubled = failure.IsRejection ? double.PositiveInfinity : settings.MinFailureBackoff.Ticks * Math.Pow(2, failures - 1);
        TimeSpan backoff = TimeSpan.FromTicks((long)Math.Min(doubled, settings.MaxFailureBackoff.Ticks));
        TimeSpan length = failure.RetryAfter.AtMost(s_longestRetryAfter).AtLeast(backoff);

        DateTimeOffset now = time.GetUtcNow();
        return new Backoff(failure, failures, time.GetTimestamp(), length, now + length, former?.FailingSince ?? now, !IsDue_NeedsLock(settings));
    }
}
