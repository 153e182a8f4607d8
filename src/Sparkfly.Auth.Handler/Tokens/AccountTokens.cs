namespace Sparkfly.Auth.Handler;

/// <summary>What a caller does next. One of: use the token, wait for the request, fail with the backoff's reason.</summary>
/// <param name="Token">The token to use.</param>
/// <param name="Request">The request to wait for or, with a token, to start in the background.</param>
/// <param name="MustStart">Whether this caller is the one that starts the request.</param>
/// <param name="Failure">Why there is no token.</param>
internal readonly record struct TokenDecision(SparkflyToken? Token, TokenRequest? Request, bool MustStart, Backoff? Failure)
{
    public static TokenDecision Use(SparkflyToken token) => new(token, null, false, null);

    public static TokenDecision UseAndStart(SparkflyToken token, TokenRequest request) => new(token, request, true, null);

    public static TokenDecision WaitFor(TokenRequest request, bool mustStart) => new(null, request, mustStart, null);

    public static TokenDecision Fail(Backoff failure) => new(null, null, false, failure);
}

/// <summary>
/// The state machine of one account's token: which token, whether to ask for one, who waits. All of its mutable state is here, under one
/// lock; it runs no user code and no I/O, and starts nothing itself. Thread-safe.
/// </summary>
/// <remarks>
/// An account is what <see cref="AccountSettings.AccountKey"/> says, not its name: two names of one account share this object, each with
/// its own durations, which is why every call brings the settings.
/// </remarks>
internal sealed class AccountTokens(TimeProvider time, Random random)
{
    // Retry-After is the service's word, but a service that says "tomorrow" must not take the application down until then.
    private static readonly TimeSpan s_longestRetryAfter = TimeSpan.FromMinutes(15);

    private readonly Lock _lock = new();

    // Mutable state, guarded by the lock. The first is read without it on the warm path.
    private volatile HeldToken? _held;
    private HeldToken? _setAside;
    private TokenRequest? _request;
    private Backoff? _backoff;
    private long? _forcedAt;

    /// <summary>The warm path: the token where it may be used and nothing needs to be done about it; else null. Takes no lock.</summary>
    public SparkflyToken? Warm(AccountSettings settings) =>
        _held is { } held && !held.ShouldBeRenewed(time.GetUtcNow(), settings) ? held.Token : null;

    /// <summary>For a request on its way.</summary>
    public TokenDecision Get(AccountSettings settings)
    {
        lock (_lock)
        {
            DateTimeOffset now = time.GetUtcNow();
            if (_held is not { } held || !held.MayBeUsed(now, settings))
            {
                return WaitOrFail_NeedsLock(settings, _held?.Token);
            }

            return held.ShouldBeRenewed(now, settings) && _request is null && !IsBackingOff_NeedsLock()
                ? TokenDecision.UseAndStart(held.Token, _request = new TokenRequest(settings, held.Token))
                : TokenDecision.Use(held.Token);
        }
    }

    /// <summary>For a request whose token was answered with 401.</summary>
    public TokenDecision Renew(AccountSettings settings, SparkflyToken rejected)
    {
        lock (_lock)
        {
            if (_held is { } held && held.MayBeUsed(time.GetUtcNow(), settings))
            {
                if (!held.Token.IsSameAs(rejected))
                {
                    // A straggler: its token has been replaced already.
                    return TokenDecision.Use(held.Token);
                }

                if (_request is null && IsForcedTooSoon_NeedsLock(settings))
                {
                    return TokenDecision.Use(rejected);
                }
            }

            TokenDecision decision = WaitOrFail_NeedsLock(settings, rejected);
            if (decision.Request is { } request)
            {
                request.IsForced = true;
                SetAside_NeedsLock(rejected);
            }

            return decision;
        }
    }

    /// <summary>Takes the answer to a request that <see cref="Get"/> or <see cref="Renew"/> gave out to be started.</summary>
    /// <returns>What to tell those who wait.</returns>
    public TokenOutcome End(TokenRequest request, AuthAnswer answer)
    {
        lock (_lock)
        {
            _request = null;
            if (answer.IsUnchanged)
            {
                // The fleet was forced to renew only just now: for this instance that is as if it had been itself.
                _held = _setAside ?? _held ?? new HeldToken(answer.Token!, random.NextDouble());
                _setAside = null;
                _forcedAt = time.GetTimestamp();
                return TokenOutcome.Unchanged;
            }

            if (answer.Token is { } token)
            {
                _held = new HeldToken(token, random.NextDouble());
                _setAside = null;
                _backoff = null;
                _forcedAt = request.IsForced && !token.IsShared ? time.GetTimestamp() : _forcedAt;
                return new TokenOutcome(token, null);
            }

            if (_setAside is { } doubtful)
            {
                _held = doubtful with { OutlivedRenewal = true };
                _setAside = null;
            }

            _backoff = answer.Failure is { } failure ? NextBackoff_NeedsLock(failure, request.Settings) : _backoff;
            return answer.Failure is null ? TokenOutcome.Disposed : new TokenOutcome(null, _backoff);
        }
    }

    /// <summary>
    /// The failure that stands between the account and a new token; null where nothing does. The failure of a renewal that a 401 forced is over
    /// with its backoff, that of one that was due when another succeeds.
    /// </summary>
    public Backoff? Trouble(AccountSettings settings)
    {
        lock (_lock)
        {
            return IsBackingOff_NeedsLock() || (_backoff is { TokenWasGood: false } && IsDue_NeedsLock(settings)) ? _backoff : null;
        }
    }

    /// <summary>Lets the next caller ask at once: the options have changed.</summary>
    public void EndBackoff()
    {
        lock (_lock)
        {
            _backoff = null;
        }
    }

    private TokenDecision WaitOrFail_NeedsLock(AccountSettings settings, SparkflyToken? replaced)
    {
        if (_request is { } running)
        {
            return TokenDecision.WaitFor(running, mustStart: false);
        }

        return IsBackingOff_NeedsLock()
            ? TokenDecision.Fail(_backoff!)
            : TokenDecision.WaitFor(_request = new TokenRequest(settings, replaced), mustStart: true);
    }

    // Whoever comes while the replacement is on its way waits for it rather than collect a 401 of its own.
    private void SetAside_NeedsLock(SparkflyToken rejected)
    {
        if (_held is { OutlivedRenewal: false } held && held.Token.IsSameAs(rejected))
        {
            _setAside = held;
            _held = null;
        }
    }

    private bool IsForcedTooSoon_NeedsLock(AccountSettings settings) =>
        _forcedAt is { } forcedAt && time.GetElapsedTime(forcedAt) < settings.UnauthorizedRefreshInterval;

    private bool IsDue_NeedsLock(AccountSettings settings) => _held is not { } held || held.ShouldBeRenewed(time.GetUtcNow(), settings);

    private bool IsBackingOff_NeedsLock() => _backoff is { } backoff && time.GetElapsedTime(backoff.Since) < backoff.Length;

    private Backoff NextBackoff_NeedsLock(AuthFailure failure, AccountSettings settings)
    {
        // What failed while the token was good belongs to the row as long as 401s go on forcing renewals.
        Backoff? former = _backoff is { TokenWasGood: true } last && time.GetElapsedTime(last.Since) >= last.Length + settings.MaxFailureBackoff
            ? null
            : _backoff;
        int failures = (former?.Failures ?? 0) + 1;
        double doubled = failure.IsRejection ? double.PositiveInfinity : settings.MinFailureBackoff.Ticks * Math.Pow(2, failures - 1);
        TimeSpan length = doubled < settings.MaxFailureBackoff.Ticks ? TimeSpan.FromTicks((long)doubled) : settings.MaxFailureBackoff;
        TimeSpan retryAfter = failure.RetryAfter < s_longestRetryAfter ? failure.RetryAfter : s_longestRetryAfter;
        length = retryAfter > length ? retryAfter : length;

        DateTimeOffset now = time.GetUtcNow();
        return new Backoff(failure, failures, time.GetTimestamp(), length, now + length, former?.FailingSince ?? now, !IsDue_NeedsLock(settings));
    }
}
