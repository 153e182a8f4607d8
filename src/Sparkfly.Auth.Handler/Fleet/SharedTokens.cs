using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Lets the instances of an application share one token: whoever needs one looks into the distributed cache first; of those who find none, one
/// asks Sparkfly, and the others wait for what it writes. Off the path of every request that has a token. Thread-safe.
/// </summary>
internal sealed class SharedTokens(string account, BoundedCache cache, TimeProvider time, ILogger logger)
{
    /// <summary>
    /// How far the clocks of two instances may be apart. A token ends so much earlier for an instance that has it from another, so that it is not
    /// used past its end where that other's clock is ahead by as much, or this one's behind.
    /// </summary>
    private static readonly TimeSpan s_clockSkew = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(200);

    private volatile SharedTokenCipher? _cipher;

    /// <summary>Gives the fleet's token, or else one that this instance asks for and shares. Trouble with the cache costs time, not the token.</summary>
    /// <param name="request">What is asked for, and which token it replaces.</param>
    /// <param name="post">Asks Sparkfly; throws nothing. Called once at most: what there is already is not asked for again where the cache fails then.</param>
    /// <param name="disposing">Ends it with <see cref="AuthAnswer.Disposed"/>.</param>
    public async Task<AuthAnswer> ObtainAsync(TokenRequest request, Func<Task<AuthAnswer>> post, CancellationToken disposing)
    {
        Task<AuthAnswer>? settled = null;
        Task<AuthAnswer> SettleOnce(AuthAnswer? shared) => settled ??= shared is null ? post() : Task.FromResult(shared);
        try
        {
            if (!cache.IsLeftAlone)
            {
                return await FromFleetAsync(request, SettleOnce, disposing).ConfigureAwait(false);
            }
        }
        catch (Exception) when (disposing.IsCancellationRequested)
        {
            return AuthAnswer.Disposed;
        }
        catch (Exception exception)
        {
            // Whatever the application's cache throws: the token is had without it.
            cache.LeaveAlone();
            Log.SharedCacheFailed(logger, account, exception);
        }

        return await SettleOnce(null).ConfigureAwait(false);
    }

    private async Task<AuthAnswer> FromFleetAsync(TokenRequest request, Func<AuthAnswer?, Task<AuthAnswer>> settle, CancellationToken disposing)
    {
        SharedTokenCipher cipher = CipherFor(request.Settings);
        var claim = new FleetClaim(cache, cipher.ClaimKey, request.Settings.DistributedCacheTimeout, time);
        long start = time.GetTimestamp();
        while (time.GetElapsedTime(start) < request.Settings.AuthTimeout)
        {
            if (Accept(await ReadAsync(cipher, request, warns: false, disposing).ConfigureAwait(false), request) is { } shared)
            {
                return shared;
            }

            if (await claim.TryTakeAsync(disposing).ConfigureAwait(false))
            {
                break;
            }

            await Task.Delay(s_poll, time, disposing).ConfigureAwait(false);
        }

        // Also where another instance has the claim and takes too long.
        return await AskForFleetAsync(request, settle, cipher, claim, disposing).ConfigureAwait(false);
    }

    private async Task<AuthAnswer> AskForFleetAsync(
        TokenRequest request, Func<AuthAnswer?, Task<AuthAnswer>> settle, SharedTokenCipher cipher, FleetClaim claim, CancellationToken disposing)
    {
        // Once more: an instance that was quicker may be done. The warning is for who replaces the entry: not one from each that waits, at every look.
        SharedToken? before = await ReadAsync(cipher, request, warns: true, disposing).ConfigureAwait(false);
        Task<AuthAnswer> settling = settle(Accept(before, request));
        await claim.KeepDuringAsync(settling, disposing).ConfigureAwait(false);
        AuthAnswer answer = await settling.ConfigureAwait(false);
        if (answer.Token is { IsShared: false } token)
        {
            byte[] entry = cipher.Encrypt(new SharedToken(token.Value, token.ObtainedAt, request.IsForced ? time.GetUtcNow() : before?.ForcedAt));
            AccountSettings settings = request.Settings;
            await cache.SetAsync(cipher.CacheKey, entry, settings.UsableLife, settings.DistributedCacheTimeout, disposing).ConfigureAwait(false);
        }

        await claim.ReleaseAsync(disposing).ConfigureAwait(false);
        return answer;
    }

    private async Task<SharedToken?> ReadAsync(SharedTokenCipher cipher, TokenRequest request, bool warns, CancellationToken disposing)
    {
        byte[]? entry = await cache.GetAsync(cipher.CacheKey, request.Settings.DistributedCacheTimeout, disposing).ConfigureAwait(false);
        SharedToken? shared = entry is null ? null : cipher.Decrypt(entry);
        if (warns && entry is not null && shared is null)
        {
            Log.SharedEntryIgnored(logger, account);
        }

        return shared;
    }

    /// <summary>What the fleet's token means for this request; null where it is of no use.</summary>
    private AuthAnswer? Accept(SharedToken? shared, TokenRequest request)
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
        if (new HeldToken(token, 0).ShouldBeRenewed(now, settings))
        {
            return null;
        }

        bool isRejected = request.IsForced && shared.Value == request.Replaced?.Value;
        if (!isRejected)
        {
            // An older one was left behind by an instance that has not heard of the newer. One value may be handed out twice, and is then newer.
            return request.Replaced is null || shared.ObtainedAt > request.Replaced.ObtainedAt ? AuthAnswer.Of(token) : null;
        }

        // Rejected, and the fleet's current one: renewed, unless the fleet was forced to do that only just now, or a little in the future: then an
        // instance whose clock is ahead was, and as that one sees to it every interval, the others need not.
        bool isTooSoon = shared.ForcedAt is { } forcedAt &&
            now - forcedAt < settings.UnauthorizedRefreshInterval &&
            forcedAt - now <= s_clockSkew;
        return isTooSoon ? AuthAnswer.Unchanged(token) : null;
    }

    private SharedTokenCipher CipherFor(AccountSettings settings) =>
        _cipher is { } cipher && cipher.AccountKey == settings.AccountKey ? cipher : _cipher = new SharedTokenCipher(settings);
}
