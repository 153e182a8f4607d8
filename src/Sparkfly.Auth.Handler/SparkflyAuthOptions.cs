using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>The settings of one Sparkfly account: its address, its credentials, and how its token is kept and renewed.</summary>
/// <remarks>
/// <para>
/// Every setting can come from configuration. Settings are validated when the host starts and when the configuration is reloaded.
/// After an invalid reload the account keeps its last valid settings.
/// </para>
/// <para>Not thread-safe. The handler works on a copy.</para>
/// </remarks>
[DebuggerDisplay("{BaseAddress}")]
public sealed class SparkflyAuthOptions
{
    /// <summary>The configuration section that <c>AddSparkflyAuth()</c> reads: <c>Sparkfly</c>.</summary>
    public const string SectionName = "Sparkfly";

    /// <summary>
    /// Gets or sets the base address of the API, with or without a last slash. Absolute, https (see <see cref="AllowHttp"/>), without
    /// user info, query or fragment. Default: <see cref="SparkflyEnvironments.Staging"/>.
    /// </summary>
    /// <remarks>The account's token is sent to the origin of this address (scheme, host, port) and to no other.</remarks>
    public Uri? BaseAddress
    {
        get;
        set => (field, IsBaseAddressSet) = (value, true);
    }

        = SparkflyEnvironments.Staging;

    internal bool IsBaseAddressSet { get; private set; }

    /// <summary>
    /// Gets or sets the address of the token request. Default: <see langword="null"/>, which is <c>auth</c> under
    /// <see cref="BaseAddress"/>. Where the base address ends in exactly <c>/v1.0</c> and that answers 404 or 405 (on Sparkfly's own hosts also 401 or
    /// 403, before any token has come), <c>/auth</c> at the root of the same origin is asked. Set it to avoid the first wrong request.
    /// </summary>
    /// <remarks>
    /// Requests to <c>auth</c> under <see cref="BaseAddress"/>, and to <c>/auth</c> beside <c>/v1.0</c>, get no token, also if this is another address. Source: Sparkfly's
    /// AuthenticationApi description has <c>POST /auth</c> under <c>/v1.0</c>; its OpenAPI descriptions of 2025 have it at the root of the host.
    /// </remarks>
    public Uri? AuthEndpoint { get; set; }

    /// <summary>Gets or sets the account id, sent as <c>X-Auth-Identity</c> on the token request alone. Required.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string? Identity { get; set; }

    /// <summary>Gets or sets the account's secret key, sent as <c>X-Auth-Key</c> on the token request alone. Required.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string? Key { get; set; }

    /// <summary>
    /// Gets or sets what the token may do, sent as <c>X-Auth-Scope</c> on the token request. Default: <see langword="null"/>, not sent.
    /// </summary>
    public string? Scope { get; set; }

    /// <summary>
    /// Gets or sets the IP address that may use the token, sent as <c>X-Forwarded-For</c> on the token request.
    /// Default: <see langword="null"/>, not sent.
    /// </summary>
    public string? ForwardedFor { get; set; }

    /// <summary>
    /// Gets or sets the lifetime of a token, counted from when its request was sent. More than zero, at most the default, one day.
    /// In configuration a day is <c>1.00:00:00</c>, because <c>24:00:00</c> is read as 24 days.
    /// </summary>
    /// <remarks>Source: "An authentication token is good for 24 hours before expiring", Sparkfly's AuthenticationApi description.</remarks>
    public TimeSpan TokenLifetime { get; set; } = TimeSpan.FromDays(1);

    /// <summary>
    /// Gets or sets the safety margin: a token is not used during this time before the end of its lifetime. Zero or more, less than
    /// <see cref="TokenLifetime"/>. Default: five minutes.
    /// </summary>
    public TimeSpan ExpirationMargin { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Gets or sets the window before a token's last use in which it is renewed in the background while requests continue with it. At most half of
    /// its usable life. Default: 15 minutes. Zero turns it off: the first request after the last use waits for a new token.
    /// </summary>
    public TimeSpan RefreshAhead { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>Gets or sets the time limit of one token request. More than zero, at most one day. Default: 30 seconds.</summary>
    public TimeSpan AuthTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Gets or sets a value indicating whether a request is sent again, once, with a new token after a 401.
    /// Default: <see langword="true"/>. If false, the caller gets the 401, and the next request has a new token.
    /// </summary>
    public bool RetryOnUnauthorized { get; set; } = true;

    /// <summary>
    /// Gets or sets the minimum time between two renewals that a 401 forces. The caller gets a 401 in between, so an endpoint that rejects every
    /// token does not cause a token request for each call. Default: 30 seconds. Zero is allowed.
    /// </summary>
    public TimeSpan UnauthorizedRefreshInterval { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Gets or sets the backoff after a failed token request. Each consecutive failure doubles it. More than zero. Default: one second.
    /// </summary>
    public TimeSpan MinFailureBackoff { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Gets or sets the longest backoff after failed token requests, and the backoff after rejected credentials. At least
    /// <see cref="MinFailureBackoff"/>. Default: one minute. A longer <c>Retry-After</c> of the service is honoured, up to 15 minutes.
    /// </summary>
    public TimeSpan MaxFailureBackoff { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Gets or sets how many bytes of a request's body are kept for a second send, if the body may not be readable twice (a lazy sequence in
    /// <c>JsonContent</c>, a one-way stream). Default: 1 MiB (1,048,576). Zero keeps nothing: such a request is not sent again.
    /// </summary>
    public long MaxReplayBodySize { get; set; } = 1024 * 1024;

    /// <summary>
    /// Gets or sets the time limit of one operation of the distributed cache, once it is connected. More than zero, at most one day. Default: one
    /// second. Used with <see cref="SparkflyAuthBuilder.UseDistributedCache"/>.
    /// </summary>
    public TimeSpan DistributedCacheTimeout { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Gets or sets a value indicating whether plain http is allowed for other addresses than <c>localhost</c> and loopback addresses, such as a
    /// stub in a container network. Default: <see langword="false"/>.
    /// </summary>
    public bool AllowHttp { get; set; }
}
