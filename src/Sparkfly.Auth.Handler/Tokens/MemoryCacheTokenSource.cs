using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Keeps the token in the application's <see cref="IMemoryCache"/>, where it survives the account's state. Thread-safe.
/// </summary>
/// <remarks>
/// The cache has limits of its own, and may be full, cleared or disposed. The state holds the token as well, so no failure of the cache stops a request.
/// </remarks>
internal sealed class MemoryCacheTokenSource(string account, IMemoryCache cache, ITokenSource inner, TimeProvider time, ILogger logger) : ITokenSource
{
    /// <inheritdoc/>
    public async Task<TokenResponse> ObtainAsync(TokenRequest request, CancellationToken cancellationToken)
    {
        if (Find(request) is { } cached)
        {
            return TokenResponse.FromCache(cached, nameof(IMemoryCache));
        }

        TokenResponse response = await inner.ObtainAsync(request, cancellationToken).ConfigureAwait(false);

        // Before the state has it, so that a late entry of this request cannot overwrite the next one's. Not a rejected token that stays: where clocks
        // differ it would pass for a newer one.
        if (response is { Token: { } token, IsUnchanged: false })
        {
            Keep(request.Settings, token);
        }

        return response;
    }

    /// <summary>A usable token that is newer than the one to be replaced.</summary>
    private SparkflyToken? Find(TokenRequest request)
    {
        try
        {
            return cache.TryGetValue(request.Settings.AccountDigest, out object? entry) &&
                entry is SparkflyToken token &&
                (request.Replaced is not { } replaced || token.ObtainedAt > replaced.ObtainedAt) &&
                time.GetUtcNow() < request.Settings.DueAt(token, jitter: 0)
                ? token
                : null;
        }
        catch (Exception exception)
        {
            Log.CacheFailed(logger, AccountName.Shown(account), exception);
            return null;
        }
    }

    private void Keep(AccountSettings settings, SparkflyToken token)
    {
        try
        {
            // Relative, since the clock of the cache may be another one. With a size, since a cache with a limit refuses entries without.
            using ICacheEntry entry = cache.CreateEntry(settings.AccountDigest);
            entry.Value = token;
            entry.Size = 1;
            entry.AbsoluteExpirationRelativeToNow = (token.ExpiresAt - time.GetUtcNow()).AtLeast(TimeSpan.FromTicks(1));
        }
        catch (Exception exception)
        {
            Log.CacheFailed(logger, AccountName.Shown(account), exception);
        }
    }
}
