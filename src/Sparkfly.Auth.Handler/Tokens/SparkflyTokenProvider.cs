using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Gives one account's token: the cached one, else that of one token request, for which all callers wait. Thread-safe.
/// </summary>
/// <param name="account">The account's name, for messages.</param>
/// <param name="current">The account's settings, which may change.</param>
/// <param name="states">The state of each account.</param>
/// <param name="source">Where a new token comes from.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Is told of outcomes.</param>
internal sealed class SparkflyTokenProvider(
    string account, CurrentSettings current, TokenStates states, ITokenSource source, TimeProvider time, ILogger logger) : ISparkflyTokenProvider
{
    private readonly Lock _binding = new();

    // Mutable, guarded by the lock. The binding is read without it on the warm path.
    private volatile Binding? _bound;
    private bool _isRetired;

    /// <summary>Why the account has no new token, while its present one may still be good; null where nothing is wrong.</summary>
    public Backoff? LastFailure
    {
        get
        {
            Binding bound = Bind();
            return bound.State.LastFailure(bound.Settings);
        }
    }

    private AccountSettings Settings => current.Current!;

    /// <inheritdoc/>
    public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
        _bound is { } bound && ReferenceEquals(bound.Settings, current.Current) && bound.State.Warm(bound.Settings) is { } token
            ? new ValueTask<SparkflyToken>(token)
            : ObtainAsync(static (state, settings, _) => state.Get(settings), null, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(rejected);
        return ObtainAsync(static (state, settings, rejected) => state.Renew(settings, rejected!), rejected, cancellationToken);
    }

    /// <summary>
    /// Releases the state of an account that is out of use. A request that has it keeps what it needs. The settings change no more from here on, but
    /// may have changed since they were bound.
    /// </summary>
    public void Retire()
    {
        lock (_binding)
        {
            _isRetired = true;
            if (_bound is { } bound)
            {
                states.Release(bound.Settings.AccountDigest);
            }
        }
    }

    private async ValueTask<SparkflyToken> ObtainAsync(
        Func<TokenState, AccountSettings, SparkflyToken?, TokenDecision> decide, SparkflyToken? rejected, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Binding bound = Bind();
            TokenDecision decision = decide(bound.State, bound.Settings, rejected);
            if (decision.MustStart)
            {
                Start(bound.State, decision.Pending!);
            }

            if (decision.Token is { } token)
            {
                return token;
            }

            if (decision.Failure is { } failure)
            {
                throw NoToken(failure);
            }

            TokenOutcome outcome = await decision.Pending!.Flight.Result.WaitAsync(cancellationToken).ConfigureAwait(false);

            // A response to a request with old options never serves new ones.
            if (bound.Settings.AccountDigest != Settings.AccountDigest)
            {
                continue;
            }

            if (outcome.Token is { } obtained && time.GetUtcNow() >= Settings.EndOfUse(obtained))
            {
                // This caller was not running until the token had expired, or a reload has shortened its life meanwhile.
                continue;
            }

            return outcome.Token ?? throw (outcome.Failure is { } failed ? NoToken(failed) : Disposed());
        }
    }

    /// <summary>The current settings and the state of the account that they name.</summary>
    private Binding Bind()
    {
        if (_bound is { } bound && ReferenceEquals(bound.Settings, Settings))
        {
            return bound;
        }

        lock (_binding)
        {
            AccountSettings settings = Settings;
            if (_bound is { } old)
            {
                if (ReferenceEquals(old.Settings, settings))
                {
                    return old;
                }

                if (old.Settings.AccountDigest == settings.AccountDigest)
                {
                    old.State.EndBackoff();
                    return _bound = new Binding(settings, old.State);
                }

                if (!_isRetired)
                {
                    states.Release(old.Settings.AccountDigest);
                }
            }

            _bound = new Binding(settings, states.Acquire(settings.AccountDigest));
            if (_isRetired)
            {
                states.Release(settings.AccountDigest);
            }

            return _bound;
        }
    }

    private void Start(TokenState state, PendingTokenRequest pending)
    {
        // In use until it ends: a caller that comes back to these options must not start a second request beside it.
        states.Acquire(pending.Request.Settings.AccountDigest, state);

        // Only the trace parent goes along, so that the request is found in the trace that caused it.
        pending.Flight.Start(
            static start => start.Provider.RunAsync(start.State, start.Pending, start.Parent),
            (Provider: this, State: state, Pending: pending, Parent: Activity.Current?.Context ?? default));
    }

    private async Task<TokenOutcome> RunAsync(TokenState state, PendingTokenRequest pending, ActivityContext parent)
    {
        // Also where code of the application ignores its cancellation token.
        using CancellationTokenRegistration disposing = states.Disposing.UnsafeRegister(
            static flight => ((SingleFlight<TokenOutcome>)flight!).Complete(TokenOutcome.Disposed), pending.Flight);

        TokenResponse response;
        Activity? activity = null;
        try
        {
            activity = Telemetry.StartTokenRequest(parent);
            response = await source.ObtainAsync(pending.Request, states.Disposing).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            response = TokenResponse.Of(new AuthFailure(
                $"The token request ended with a {exception.GetType().Name} of a logger or listener of the application's."));
        }

        TokenOutcome outcome = state.Complete(pending.Request, response);
        try
        {
            using (activity)
            {
                activity?.SetTag(Telemetry.OutcomeTag, response.Outcome);
                Report(response, outcome, activity);
            }
        }
        catch (Exception)
        {
            // A logger or listener of the application's has thrown. Callers must not wait for ever.
        }

        states.Release(pending.Request.Settings.AccountDigest);
        return outcome;
    }

    private void Report(TokenResponse response, TokenOutcome outcome, Activity? activity)
    {
        if (response.IsUnchanged)
        {
            return;
        }

        if (outcome.Token is { } token)
        {
            if (response.Cache is { } cache)
            {
                Log.TokenTakenFromCache(logger, AccountName.Shown(account), cache, token.ExpiresAt);
            }
            else
            {
                Log.TokenObtained(logger, AccountName.Shown(account), token.ExpiresAt);
            }
        }
        else if (outcome.Failure is { } failure)
        {
            activity?.SetStatus(ActivityStatusCode.Error, failure.Reason.Message);
            Log.TokenRequestFailed(logger, AccountName.Shown(account), failure.Reason.Message, failure.Failures, failure.RetryAt);
        }
    }

    private SparkflyAuthenticationException NoToken(Backoff failure) =>
        new(
            $"{AccountName.Label(account)}: No token: {failure.Reason.Message} " +
            $"The next token request is made from {failure.RetryAt:u} on; until then calls fail at once.",
            failure.Reason.Cause)
        {
            AuthStatusCode = failure.Reason.Status,
            IsTransient = failure.Reason.IsTransient,
            RetryAt = failure.RetryAt,
        };

    private static ObjectDisposedException Disposed() =>
        new(nameof(ISparkflyTokenProvider), "The service provider was disposed, which ended the token request.");

    private sealed record Binding(AccountSettings Settings, TokenState State);
}
