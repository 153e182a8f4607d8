using System.Diagnostics;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Gives one account's token: from memory where one is held, else from one token request that all callers share. Thread-safe.
/// </summary>
internal sealed class SparkflyTokenProvider(
    SparkflyAccount account,
    AccountTokensRegistry registry,
    SparkflyAuthClient authClient,
    SharedTokens? fleet,
    IMemoryCache cache,
    TimeProvider time,
    ILogger logger) : ISparkflyTokenProvider
{
    private readonly Lock _binding = new();
    private volatile Binding? _bound;
    private bool _isLetGo;

    /// <summary>The failure that stands between the account and a new token, while the one at hand may still be good; null where nothing does.</summary>
    public Backoff? Trouble
    {
        get
        {
            Binding bound = Bind();
            return bound.Tokens.Trouble(bound.Settings);
        }
    }

    /// <inheritdoc/>
    public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
        _bound is { } bound && ReferenceEquals(bound.Settings, account.Settings) && bound.Tokens.Warm(bound.Settings) is { } token
            ? new ValueTask<SparkflyToken>(token)
            : ObtainAsync(static (tokens, settings, _) => tokens.Get(settings), null, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(rejected);
        return ObtainAsync(static (tokens, settings, rejected) => tokens.Renew(settings, rejected!), rejected, cancellationToken);
    }

    /// <summary>
    /// Lets the account's state go, which is out of use; a request that has it still keeps what it needs. The settings change no more from here on,
    /// but may have changed since they were bound.
    /// </summary>
    public void LetGo()
    {
        lock (_binding)
        {
            _isLetGo = true;
            if (_bound is { } bound)
            {
                registry.Release(bound.Settings.AccountKey);
            }
        }
    }

    private async ValueTask<SparkflyToken> ObtainAsync(
        Func<AccountTokens, AccountSettings, SparkflyToken?, TokenDecision> decide, SparkflyToken? rejected, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Binding bound = Bind();
            TokenDecision decision = decide(bound.Tokens, bound.Settings, rejected);
            if (decision.MustStart)
            {
                Start(bound.Tokens, decision.Request!);
            }

            if (decision.Token is { } held)
            {
                return held;
            }

            if (decision.Failure is { } failure)
            {
                throw NoToken(failure);
            }

            // A caller that cancels leaves alone; the request goes on for the others, and for the next caller if none is left.
            TokenOutcome outcome = await decision.Request!.Outcome.WaitAsync(cancellationToken).ConfigureAwait(false);

            // An answer to a request made with old options never serves new ones: ask again with those.
            if (bound.Settings.AccountKey != account.Settings.AccountKey || ReferenceEquals(outcome, TokenOutcome.Unchanged))
            {
                continue;
            }

            if (outcome.Token is { } obtained && !new HeldToken(obtained, 0).MayBeUsed(time.GetUtcNow(), account.Settings))
            {
                // This caller is late: the token has come, and gone, while it was not running. Or a reload has shortened its life meanwhile.
                continue;
            }

            return outcome.Token ?? throw (outcome.Failure is { } failed ? NoToken(failed) : Disposed());
        }
    }

    /// <summary>The current settings and the state of the account that they name.</summary>
    private Binding Bind()
    {
        if (_bound is { } bound && ReferenceEquals(bound.Settings, account.Settings))
        {
            return bound;
        }

        lock (_binding)
        {
            AccountSettings settings = account.Settings;
            if (_bound is { } old)
            {
                if (ReferenceEquals(old.Settings, settings))
                {
                    return old;
                }

                if (old.Settings.AccountKey == settings.AccountKey)
                {
                    old.Tokens.EndBackoff();
                    return _bound = new Binding(settings, old.Tokens);
                }

                if (!_isLetGo)
                {
                    registry.Release(old.Settings.AccountKey);
                }
            }

            _bound = new Binding(settings, registry.Acquire(settings.AccountKey));
            if (_isLetGo)
            {
                registry.Release(settings.AccountKey);
            }

            return _bound;
        }
    }

    // On the thread pool without the caller's execution context: the request outlives the caller, whose scopes, culture, baggage and
    // AsyncLocals are none of its business. The trace parent alone goes along, so that the request is found in the trace that caused it.
    private void Start(AccountTokens tokens, TokenRequest request)
    {
        // In use until it ends, so that nobody starts a second one beside it who comes back to these options.
        registry.Acquire(request.Settings.AccountKey);
        ThreadPool.UnsafeQueueUserWorkItem(
            static start => _ = start.Provider.RunAsync(start.Tokens, start.Request, start.Parent),
            (Provider: this, Tokens: tokens, Request: request, Parent: Activity.Current?.Context ?? default),
            preferLocal: false);
    }

    private async Task RunAsync(AccountTokens tokens, TokenRequest request, ActivityContext parent)
    {
        // Even where something on the way does not heed its cancellation token.
        using CancellationTokenRegistration free = registry.Disposing.UnsafeRegister(
            static request => ((TokenRequest)request!).End(TokenOutcome.Disposed), request);

        AuthAnswer answer;
        Activity? activity = null;
        try
        {
            activity = Telemetry.StartTokenRequest(parent);
            answer = await AskAsync(request).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            // Whatever a logger or a listener throws: nobody waits for ever.
            answer = AuthAnswer.Of(new AuthFailure(
                $"The token request ended with a {exception.GetType().Name} of a logger or listener of the application's."));
        }

        using (activity)
        {
            activity?.SetTag(Telemetry.OutcomeTag, answer.Outcome);
            TokenOutcome outcome = tokens.End(request, answer);
            try
            {
                Report(outcome, activity);
            }
            finally
            {
                request.End(outcome);
                registry.Release(request.Settings.AccountKey);
            }
        }
    }

    private async Task<AuthAnswer> AskAsync(TokenRequest request)
    {
        AuthAnswer answer = FromCache(request) is { } cached
            ? AuthAnswer.Of(cached)
            : fleet is null
                ? await PostAsync(request).ConfigureAwait(false)
                : await fleet.ObtainAsync(request, () => PostAsync(request), registry.Disposing).ConfigureAwait(false);

        // Before the state is set, so that a late entry of this request cannot overwrite the next one's.
        // Not a rejected one that stays: it would pass for a newer one where clocks differ.
        if (answer is { Token: { } token, IsUnchanged: false })
        {
            Cache(request.Settings, token);
        }

        return answer;
    }

    private Task<AuthAnswer> PostAsync(TokenRequest request) => authClient.RequestTokenAsync(account.AuthClientName, request.Settings, registry.Disposing);

    private void Report(TokenOutcome outcome, Activity? activity)
    {
        if (outcome.Token is { } token)
        {
            Log.TokenObtained(logger, account.Name, token.ExpiresAt);
        }
        else if (outcome.Failure is { } failure)
        {
            activity?.SetStatus(ActivityStatusCode.Error, failure.Reason.Message);
            Log.TokenRequestFailed(logger, account.Name, failure.Reason.Message, failure.Failures, failure.RetryAt);
        }
    }

    /// <summary>A token that the cache kept while this provider held none: newer than the one to be replaced, and still good.</summary>
    private SparkflyToken? FromCache(TokenRequest request)
    {
        try
        {
            return cache.TryGetValue(request.Settings.AccountKey, out object? entry) &&
                entry is SparkflyToken token &&
                (request.Replaced is not { } replaced || token.ObtainedAt > replaced.ObtainedAt) &&
                !new HeldToken(token, 0).ShouldBeRenewed(time.GetUtcNow(), request.Settings)
                ? token
                : null;
        }
        catch (Exception exception)
        {
            Log.CacheFailed(logger, account.Name, exception);
            return null;
        }
    }

    // The cache is the application's own, with limits and moods of its own. The token is held here as well, so no failure of it stops a request.
    private void Cache(AccountSettings settings, SparkflyToken token)
    {
        try
        {
            // Relative, since the clock of the cache and ours need not agree. A size, since a cache with a limit refuses entries without.
            using ICacheEntry entry = cache.CreateEntry(settings.AccountKey);
            entry.Value = token;
            entry.Size = 1;
            entry.AbsoluteExpirationRelativeToNow = Longest(token.ExpiresAt - time.GetUtcNow(), TimeSpan.FromTicks(1));
        }
        catch (Exception exception)
        {
            Log.CacheFailed(logger, account.Name, exception);
        }

        static TimeSpan Longest(TimeSpan a, TimeSpan b) => a > b ? a : b;
    }

    private SparkflyAuthenticationException NoToken(Backoff failure) =>
        new(
            $"{SparkflyAccount.Label(account.Name)}: No token: {failure.Reason.Message} " +
            $"The next token request is made from {failure.RetryAt:u} on; until then calls fail at once.",
            failure.Reason.Cause)
        {
            AuthStatusCode = failure.Reason.Status,
            IsTransient = failure.Reason.IsTransient,
            RetryAt = failure.RetryAt,
        };

    private static ObjectDisposedException Disposed() =>
        new(nameof(ISparkflyTokenProvider), "The service provider was disposed, which ended the token request.");

    private sealed record Binding(AccountSettings Settings, AccountTokens Tokens);
}
