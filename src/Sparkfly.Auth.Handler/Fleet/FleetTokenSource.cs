using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Lets the instances of an application share one token: an instance that needs one reads the distributed cache first. If there is none, one
/// instance asks Sparkfly, and the others wait for its token. Not on the path of a request with a cached token. Thread-safe.
/// </summary>
internal sealed class FleetTokenSource(string account, ISharedCache cache, ITokenSource inner, TimeProvider time, ILogger logger) : ITokenSource
{
    /// <summary>
    /// How far the clocks of two instances may be apart. A token ends so much earlier for an instance that has it from another, so that it is not
    /// used past its end where that other's clock is ahead by as much, or this one's behind.
    /// </summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(200);

    // For other instances, in all.
    private static readonly TimeSpan s_longestWait = TimeSpan.FromSeconds(10);

    private readonly Guid _instance = Guid.NewGuid();
    private readonly CircuitBreaker _breaker = new(time);

    private volatile SharedTokenCipher? _cipher;
    private volatile bool _hasWarnedOfLength;

    // The forced renewal of another instance for which 401s were passed on last, in ticks.
    private long _passedOnFor;

    /// <inheritdoc/>
    public async Task<TokenResponse> ObtainAsync(TokenRequest request, CancellationToken cancellationToken)
    {
        // Once: a token that is there already is not asked for again where the cache fails then.
        Task<TokenResponse>? asking = null;
        Task<TokenResponse> AskOnce() => asking ??= inner.ObtainAsync(request, cancellationToken);
        try
        {
            if (!cache.IsOpen && !_breaker.IsOpen)
            {
                return await FromFleetAsync(request, AskOnce, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception) when (cancellationToken.IsCancellationRequested)
        {
            return TokenResponse.Disposed;
        }
        catch (Exception exception)
        {
            // The application's cache failed; the token comes without it.
            if (!_breaker.IsOpen)
            {
                _breaker.Trip();
                Log.SharedCacheFailed(logger, AccountName.Shown(account), exception);
            }
        }

        return await AskOnce().ConfigureAwait(false);
    }

    private async Task<TokenResponse> FromFleetAsync(TokenRequest request, Func<Task<TokenResponse>> askOnce, CancellationToken cancellationToken)
    {
        SharedTokenCipher cipher = CipherFor(request.Settings);
        var lease = new FleetLease(cache, cipher, _instance, request.Settings.DistributedCacheTimeout, time);
        TimeSpan longest = request.Settings.AuthTimeout.AtMost(s_longestWait);
        long start = time.GetTimestamp();
        LeaseStanding standing;
        do
        {
            if (Accept(await ReadAsync(cipher, request, warns: false, cancellationToken).ConfigureAwait(false), request) is { } shared)
            {
                return shared;
            }

            standing = await lease.TakeAsync(cancellationToken).ConfigureAwait(false);
            if (standing is LeaseStanding.Own or LeaseStanding.Lost)
            {
                break;
            }

            await Task.Delay(s_poll, time, cancellationToken).ConfigureAwait(false);
        }
        while (time.GetElapsedTime(start) < longest);

        // Once more: a quicker instance may be done. Only the instance that replaces a bad entry warns of it, not each one that waits.
        SharedToken? before = await ReadAsync(cipher, request, warns: true, cancellationToken).ConfigureAwait(false);
        if (Accept(before, request) is { } meanwhile)
        {
            await ReleaseAsync(lease, standing, cancellationToken).ConfigureAwait(false);
            return meanwhile;
        }

        if (standing == LeaseStanding.Lost)
        {
            _breaker.Trip();
            Log.SharedCacheUnreliable(logger, AccountName.Shown(account));
        }
        else if (standing != LeaseStanding.Own)
        {
            Log.WaitForInstanceEnded(logger, AccountName.Shown(account), time.GetElapsedTime(start));
        }

        Task<TokenResponse> asking = askOnce();
        if (standing == LeaseStanding.Own)
        {
            await lease.KeepDuringAsync(asking, cancellationToken).ConfigureAwait(false);
        }

        TokenResponse response = await asking.ConfigureAwait(false);
        if (response.Token is { } token)
        {
            await WriteAsync(cipher, request, token, before, cancellationToken).ConfigureAwait(false);
        }

        await ReleaseAsync(lease, standing, cancellationToken).ConfigureAwait(false);
        return response;
    }

    private static Task ReleaseAsync(FleetLease lease, LeaseStanding standing, CancellationToken cancellationToken) =>
        standing == LeaseStanding.Own ? lease.ReleaseAsync(cancellationToken) : Task.CompletedTask;

    private async Task<SharedToken?> ReadAsync(SharedTokenCipher cipher, TokenRequest request, bool warns, CancellationToken cancellationToken)
    {
        byte[]? entry = await cache.GetAsync(cipher.CacheKey, request.Settings.DistributedCacheTimeout, cancellationToken).ConfigureAwait(false);
        SharedToken? shared = cipher.Decrypt(entry);
        if (warns && entry is not null && shared is null)
        {
            Log.SharedEntryIgnored(logger, AccountName.Shown(account));
        }

        return shared;
    }

    private async Task WriteAsync(
        SharedTokenCipher cipher, TokenRequest request, SparkflyToken token, SharedToken? before, CancellationToken cancellationToken)
    {
        if (!SharedTokenCipher.Fits(token.Value))
        {
            if (!_hasWarnedOfLength)
            {
                _hasWarnedOfLength = true;
                Log.TokenTooLongToShare(logger, AccountName.Shown(account), token.Value.Length);
            }

            return;
        }

        AccountSettings settings = request.Settings;
        byte[] entry = cipher.Encrypt(new SharedToken(token.Value, NewerThan(before, token), request.IsForced ? time.GetUtcNow() : before?.ForcedAt));
        await cache.SetAsync(cipher.CacheKey, entry, settings.UsableLife, settings.DistributedCacheTimeout, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// The time for the token's entry: when the token was obtained, or one tick after the former entry's time if that is later, because another
    /// instance's clock is ahead.
    /// </summary>
    /// <remarks>
    /// Instances take only a newer token for a rejected one, and would otherwise ask for themselves. The token's life grows by at most
    /// <see cref="ClockSkew"/>.
    /// </remarks>
    private DateTimeOffset NewerThan(SharedToken? before, SparkflyToken token) =>
        before is { ObtainedAt: var former } && former >= token.ObtainedAt && former - time.GetUtcNow() <= ClockSkew ? former.AddTicks(1) : token.ObtainedAt;

    /// <summary>What the fleet's token means for this request; null where it is of no use.</summary>
    private TokenResponse? Accept(SharedToken? shared, TokenRequest request)
    {
        if (shared is null)
        {
            return null;
        }

        AccountSettings settings = request.Settings;
        DateTimeOffset now = time.GetUtcNow();
        if (shared.ObtainedAt - now > ClockSkew)
        {
            // The other instance's clock is too far ahead to tell when its token ends.
            return null;
        }

        DateTimeOffset obtainedAt = now - (now - shared.ObtainedAt).AtLeast(TimeSpan.Zero);
        var token = new SparkflyToken(shared.Value, obtainedAt, obtainedAt + settings.UsableLife - ClockSkew) { IsShared = true };
        if (now >= settings.DueAt(token, jitter: 0))
        {
            return null;
        }

        bool isRejected = request.IsForced && shared.Value == request.Replaced?.Value;
        if (!isRejected)
        {
            // An older one was left behind by an instance that has not heard of the newer. One value may be handed out twice, and is then newer.
            return request.Replaced is null || shared.ObtainedAt > request.Replaced.ObtainedAt ? TokenResponse.FromCache(token, "distributed cache") : null;
        }

        return TimeSinceForced(shared, settings.UnauthorizedRefreshInterval, now) is { } sinceForced ? TokenResponse.Unchanged(token, sinceForced) : null;
    }

    /// <summary>How long ago the fleet was forced to renew, if that was within the interval and holds this instance back; else null.</summary>
    /// <remarks>
    /// Where the other instance's clock is ahead, "just now" on it may stay in the future here for minutes. So each forced renewal holds an instance
    /// back for one interval of its own at most: the account's state counts it, and asks again only when it is over.
    /// </remarks>
    private TimeSpan? TimeSinceForced(SharedToken shared, TimeSpan interval, DateTimeOffset now)
    {
        if (shared.ForcedAt is not { } forcedAt || interval == TimeSpan.Zero)
        {
            return null;
        }

        TimeSpan since = now - forcedAt;
        if (since >= interval || since < -ClockSkew || Interlocked.Exchange(ref _passedOnFor, forcedAt.UtcTicks) == forcedAt.UtcTicks)
        {
            return null;
        }

        return since.AtLeast(TimeSpan.Zero);
    }

    private SharedTokenCipher CipherFor(AccountSettings settings) =>
        _cipher is { } cipher && cipher.AccountDigest == settings.AccountDigest ? cipher : _cipher = new SharedTokenCipher(settings);
}
