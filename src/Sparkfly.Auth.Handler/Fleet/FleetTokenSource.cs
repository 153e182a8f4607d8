using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Lets the instances of an application share one token: whoever needs one looks into the distributed cache first; of those who find none, one
/// asks Sparkfly, and the others wait for what it writes. Off the path of every request that has a token. Thread-safe.
/// </summary>
internal sealed class FleetTokenSource(string account, BoundedCache cache, ITokenSource inner, TimeProvider time, ILogger logger) : ITokenSource
{
    /// <summary>
    /// How far the clocks of two instances may be apart. A token ends so much earlier for an instance that has it from another, so that it is not
    /// used past its end where that other's clock is ahead by as much, or this one's behind.
    /// </summary>
    private static readonly TimeSpan s_clockSkew = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(200);

    private volatile SharedTokenCipher? _cipher;

    /// <inheritdoc/>
    public async Task<TokenResponse> ObtainAsync(TokenRequest request, CancellationToken cancellationToken)
    {
        // Once: a token that is there already is not asked for again where the cache fails then.
        Task<TokenResponse>? settled = null;
        Task<TokenResponse> SettleOnce(TokenResponse? shared) =>
            settled ??= shared is null ? inner.ObtainAsync(request, cancellationToken) : Task.FromResult(shared);
        try
        {
            if (!cache.IsOpen)
            {
                return await FromFleetAsync(request, SettleOnce, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception) when (cancellationToken.IsCancellationRequested)
        {
            return TokenResponse.Disposed;
        }
        catch (Exception exception)
        {
            // The application's cache failed; the token comes without it.
            cache.Trip();
            Log.SharedCacheFailed(logger, account, exception);
        }

        return await SettleOnce(null).ConfigureAwait(false);
    }

    private async Task<TokenResponse> FromFleetAsync(TokenRequest request, Func<TokenResponse?, Task<TokenResponse>> settle, CancellationToken cancellationToken)
    {
        SharedTokenCipher cipher = CipherFor(request.Settings);
        var lease = new FleetLease(cache, cipher.LeaseKey, request.Settings.DistributedCacheTimeout, time);
        long start = time.GetTimestamp();
        while (time.GetElapsedTime(start) < request.Settings.AuthTimeout)
        {
            if (Accept(await ReadAsync(cipher, request, warns: false, cancellationToken).ConfigureAwait(false), request) is { } shared)
            {
                return shared;
            }

            if (await lease.TryTakeAsync(cancellationToken).ConfigureAwait(false))
            {
                break;
            }

            await Task.Delay(s_poll, time, cancellationToken).ConfigureAwait(false);
        }

        // Also where another instance has the claim and takes too long.
        return await AskForFleetAsync(request, settle, cipher, lease, cancellationToken).ConfigureAwait(false);
    }

    private async Task<TokenResponse> AskForFleetAsync(
        TokenRequest request, Func<TokenResponse?, Task<TokenResponse>> settle, SharedTokenCipher cipher, FleetLease lease, CancellationToken cancellationToken)
    {
        // Once more: an instance that was quicker may be done. The warning is for who replaces the entry: not one from each that waits, at every look.
        SharedToken? before = await ReadAsync(cipher, request, warns: true, cancellationToken).ConfigureAwait(false);
        Task<TokenResponse> settling = settle(Accept(before, request));
        await lease.KeepDuringAsync(settling, cancellationToken).ConfigureAwait(false);
        TokenResponse response = await settling.ConfigureAwait(false);
        if (response.Token is { IsShared: false } token)
        {
            byte[] entry = cipher.Encrypt(new SharedToken(token.Value, token.ObtainedAt, request.IsForced ? time.GetUtcNow() : before?.ForcedAt));
            AccountSettings settings = request.Settings;
            await cache.SetAsync(cipher.CacheKey, entry, settings.UsableLife, settings.DistributedCacheTimeout, cancellationToken).ConfigureAwait(false);
        }

        await lease.ReleaseAsync(cancellationToken).ConfigureAwait(false);
        return response;
    }

    private async Task<SharedToken?> ReadAsync(SharedTokenCipher cipher, TokenRequest request, bool warns, CancellationToken cancellationToken)
    {
        byte[]? entry = await cache.GetAsync(cipher.CacheKey, request.Settings.DistributedCacheTimeout, cancellationToken).ConfigureAwait(false);
        SharedToken? shared = entry is null ? null : cipher.Decrypt(entry);
        if (warns && entry is not null && shared is null)
        {
            Log.SharedEntryIgnored(logger, account);
        }

        return shared;
    }

    /// <summary>What the fleet's token means for this request; null where it is of no use.</summary>
    private TokenResponse? Accept(SharedToken? shared, TokenRequest request)
    {
        if (shared is null)
        {
            return null;
        }

        AccountSettings settings = request.Settings;
        DateTimeOffset now = time.GetUtcNow();
        if (shared.ObtainedAt - now > s_clockSkew)
        {
            // Of an instance whose clock is further ahead than that: when the token ends is anyone's guess.
            return null;
        }

        DateTimeOffset obtainedAt = shared.ObtainedAt < now ? shared.ObtainedAt : now;
        var token = new SparkflyToken(shared.Value, obtainedAt, obtainedAt + settings.UsableLife - s_clockSkew) { IsShared = true };
        if (now >= settings.DueAt(token, jitter: 0))
        {
            return null;
        }

        bool isRejected = request.IsForced && shared.Value == request.Replaced?.Value;
        if (!isRejected)
        {
            // An older one was left behind by an instance that has not heard of the newer. One value may be handed out twice, and is then newer.
            return request.Replaced is null || shared.ObtainedAt > request.Replaced.ObtainedAt ? TokenResponse.Of(token) : null;
        }

        // Rejected, and the fleet's current one: renewed, unless the fleet was forced to do that only just now, or a little in the future: then an
        // instance whose clock is ahead was, and as that one sees to it every interval, the others need not.
        bool isTooSoon = shared.ForcedAt is { } forcedAt &&
            now - forcedAt < settings.UnauthorizedRefreshInterval &&
            forcedAt - now <= s_clockSkew;
        return isTooSoon ? TokenResponse.Unchanged(token) : null;
    }

    private SharedTokenCipher CipherFor(AccountSettings settings) =>
        _cipher is { } cipher && cipher.AccountDigest == settings.AccountDigest ? cipher : _cipher = new SharedTokenCipher(settings);
}
