using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Every log message of the package. Event ids are stable. No message holds a credential, a token, or a request's path or query.</summary>
/// <remarks>The empty account name is the default account.</remarks>
internal static partial class Log
{
    public const string Category = "Sparkfly.Auth.Handler";

    [LoggerMessage(1, LogLevel.Information, "Obtained a token for Sparkfly account '{Account}' with a POST; it is used until {ExpiresAt:u}.")]
    public static partial void TokenObtained(ILogger logger, string account, DateTimeOffset expiresAt);

    [LoggerMessage(2, LogLevel.Error, "No token for Sparkfly account '{Account}': {Reason} Failures in a row: {Failures}. Next token request from {RetryAt:u} on.")]
    public static partial void TokenRequestFailed(ILogger logger, string account, string reason, int failures, DateTimeOffset retryAt);

    [LoggerMessage(3, LogLevel.Warning, "The token of Sparkfly account '{Account}' could not be written to, or read from, the IMemoryCache; it is held in memory all the same.")]
    public static partial void CacheFailed(ILogger logger, string account, Exception exception);

    [LoggerMessage(4, LogLevel.Warning, "Sparkfly has no /auth under {BaseAddress}, but at the root: {AuthEndpoint}. It is asked there from now on; set AuthEndpoint to say so.")]
    public static partial void AuthEndpointAtRoot(ILogger logger, Uri baseAddress, Uri authEndpoint);

    [LoggerMessage(5, LogLevel.Warning, "The distributed cache failed for Sparkfly account '{Account}', and is not used for a while; this instance requests its own token meanwhile.")]
    public static partial void SharedCacheFailed(ILogger logger, string account, Exception exception);

    [LoggerMessage(6, LogLevel.Warning, "The distributed cache's entry for Sparkfly account '{Account}' was ignored: it was not written with this account's key, or has been changed.")]
    public static partial void SharedEntryIgnored(ILogger logger, string account);

    [LoggerMessage(10, LogLevel.Information, "The settings of Sparkfly account '{Account}' have changed; they hold from the next request on.")]
    public static partial void SettingsChanged(ILogger logger, string account);

    [LoggerMessage(11, LogLevel.Error, "The changed settings of Sparkfly account '{Account}' are invalid, so it goes on with the last good ones. {Problems}")]
    public static partial void InvalidReload(ILogger logger, string account, string problems);

    [LoggerMessage(12, LogLevel.Warning, "The application's account source failed for Sparkfly account '{Account}', which goes on with the settings it has; it is asked again after {Interval}.")]
    public static partial void SourceFailed(ILogger logger, string account, TimeSpan interval, Exception exception);

    [LoggerMessage(13, LogLevel.Information, "Sparkfly account '{Account}' is at {BaseAddress}.")]
    public static partial void BaseAddress(ILogger logger, string account, Uri baseAddress);

    [LoggerMessage(14, LogLevel.Warning, "Sparkfly account '{Account}' is in Sparkfly's staging environment, the default, and the application's environment is Production. Set {Setting}, for production to {Production}.")]
    public static partial void StagingInProduction(ILogger logger, string account, string setting, Uri production);

    [LoggerMessage(15, LogLevel.Warning, "The configuration of Sparkfly account '{Account}' has the key {Key}, which is no option, so its value has no effect.")]
    public static partial void UnknownKey(ILogger logger, string account, string key);

    [LoggerMessage(20, LogLevel.Information, "A token of Sparkfly account '{Account}' was rejected with 401; the request is sent again with a new one.")]
    public static partial void Replayed(ILogger logger, string account);

    [LoggerMessage(21, LogLevel.Warning, "A 401 for Sparkfly account '{Account}' goes to the caller: {Reason}.")]
    public static partial void PassedThrough(ILogger logger, string account, string reason);

    [LoggerMessage(22, LogLevel.Warning, "The token of Sparkfly account '{Account}' was rejected with 401, and renewing it for the next request failed: {Reason}")]
    public static partial void RenewalForNextRequestFailed(ILogger logger, string account, string reason);

    [LoggerMessage(30, LogLevel.Debug, "A request to {Origin} leaves without a token: Sparkfly account '{Account}' is at {AccountOrigin}.")]
    public static partial void ForeignOrigin(ILogger logger, string origin, string account, Origin accountOrigin);

    [LoggerMessage(31, LogLevel.Warning, "A request to {Origin}, an address of Sparkfly's, leaves without a token: Sparkfly account '{Account}' is at {AccountOrigin}. Is its BaseAddress right? This is logged once.")]
    public static partial void OtherSparkflyOrigin(ILogger logger, string origin, string account, Origin accountOrigin);

    [LoggerMessage(33, LogLevel.Critical, "The primary handler {Handler} has followed a redirect with a secret of Sparkfly's on the request. It is not used again; turn its redirects off.")]
    public static partial void PrimaryHandlerFollowedRedirect(ILogger logger, string handler);

    [LoggerMessage(34, LogLevel.Warning, "A request to {Origin}, an address of Sparkfly's, leaves without a token: it names no account, and there is no default account. Call request.SetSparkflyAccount(name), or services.AddSparkflyAuth(). This is logged once.")]
    public static partial void NoAccount(ILogger logger, string origin);

    [LoggerMessage(40, LogLevel.Warning, "The host starts without a token for Sparkfly account '{Account}'; the first request needs one. {Reason}")]
    public static partial void WarmUpFailed(ILogger logger, string account, string reason);

    [LoggerMessage(50, LogLevel.Information, "Took the token of Sparkfly account '{Account}' from the {Cache}, without a POST; it is used until {ExpiresAt:u}.")]
    public static partial void TokenTakenFromCache(ILogger logger, string account, string cache, DateTimeOffset expiresAt);

    [LoggerMessage(51, LogLevel.Warning, "What this instance wrote to the distributed cache for Sparkfly account '{Account}' cannot be read back, so instances cannot share a token request. The cache is not used for a while; this instance requests its own token meanwhile.")]
    public static partial void SharedCacheUnreliable(ILogger logger, string account);

    [LoggerMessage(52, LogLevel.Warning, "Another instance has been requesting a token of Sparkfly account '{Account}' for {Waited}, and there is none yet; this instance requests its own.")]
    public static partial void WaitForInstanceEnded(ILogger logger, string account, TimeSpan waited);

    [LoggerMessage(53, LogLevel.Warning, "The token of Sparkfly account '{Account}' has {Length} characters, too many to be shared through the distributed cache; each instance requests its own. This is logged once.")]
    public static partial void TokenTooLongToShare(ILogger logger, string account, int length);

    [LoggerMessage(54, LogLevel.Information, "The start of the host waits for the distributed cache of Sparkfly's tokens, for {Limit} at most.")]
    public static partial void WaitingForCache(ILogger logger, TimeSpan limit);

    [LoggerMessage(55, LogLevel.Information, "The distributed cache of Sparkfly's tokens was connected after {Waited}.")]
    public static partial void CacheConnected(ILogger logger, TimeSpan waited);

    [LoggerMessage(56, LogLevel.Warning, "The distributed cache of Sparkfly's tokens was not connected when the host started, after {Waited}, and is not used for a while; this instance requests its own tokens meanwhile.")]
    public static partial void CacheNotConnected(ILogger logger, TimeSpan waited, Exception exception);
}
