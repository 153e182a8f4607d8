using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>The settings of one Sparkfly account: where it is, who it is, and how its token is kept and renewed.</summary>
/// <remarks>
/// <para>
/// Every setting can come from configuration. Settings are validated when the host starts and whenever the configuration is reloaded;
/// after an invalid reload the account goes on with its last good settings.
/// </para>
/// <para>Not thread-safe while it is being configured; the handler reads it once and works on a copy.</para>
/// </remarks>
[DebuggerDisplay("{BaseAddress}")]
public sealed class SparkflyAuthOptions
{
    /// <summary>The configuration section that <c>AddSparkflyAuth()</c> reads: <c>Sparkfly</c>.</summary>
    public const string SectionName = "Sparkfly";

    /// <summary>
    /// Gets or sets the base address of the API, with or without its last slash; absolute, https (see <see cref="AllowHttp"/>), without
    /// user info, query or fragment. Default: <see cref="SparkflyEnvironments.Staging"/>.
    /// </summary>
    /// <remarks>Its origin (scheme, host and port) is the only place that the account's token is sent to.</remarks>
    public Uri? BaseAddress { get; set; } = SparkflyEnvironments.Staging;

    /// <summary>
    /// Gets or sets the address of the token request. Default: <see langword="null"/>, which is <c>auth</c> under
    /// <see cref="BaseAddress"/>; where that answers 404 and the base address ends in exactly <c>/v1.0</c>, <c>/auth</c> at the root of
    /// the same origin is asked.
    /// </summary>
    /// <remarks>
    /// Source: Sparkfly's AuthenticationApi description has <c>POST /auth</c> under <c>/v1.0</c>; its OpenAPI descriptions of 2025 have it at
    /// the root of the host.
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
    /// Gets or sets how long a token is good, counted from the moment its request was sent: more than zero, at most the default, one day.
    /// In configuration a day is <c>1.00:00:00</c>, since <c>24:00:00</c> is read as 24 days.
    /// </summary>
    /// <remarks>Source: "An authentication token is good for 24 hours before expiring", Sparkfly's AuthenticationApi description.</remarks>
    public TimeSpan TokenLifetime { get; set; } = TimeSpan.FromDays(1);

    /// <summary>
    /// Gets or sets the time before the end of its lifetime from which a token is no longer used: zero or more, less than
    /// <see cref="TokenLifetime"/>. Default: five minutes.
    /// </summary>
    public TimeSpan ExpirationMargin { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Gets or sets the window before the end of a token's use in which it is renewed in the background while requests go on with it; at most
    /// half of its usable life is taken. Default: 15 minutes. Zero turns it off: the first request after the end waits for a new token.
    /// </summary>
    public TimeSpan RefreshAhead { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>Gets or sets the bound on one token request: more than zero, at most one day. Default: 30 seconds.</summary>
    public TimeSpan AuthTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Gets or sets a value indicating whether a request that was answered with 401 is sent again, once, with a new token.
    /// Default: <see langword="true"/>. Otherwise the 401 comes through, and the next request has a new token.
    /// </summary>
    public bool RetryOnUnauthorized { get; set; } = true;

    /// <summary>
    /// Gets or sets the least time between two renewals that a 401 forces; a 401 in between is handed to the caller as it is, so that an
    /// endpoint that refuses every token does not turn traffic into token requests. Default: 30 seconds; zero is allowed.
    /// </summary>
    public TimeSpan UnauthorizedRefreshInterval { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Gets or sets the time without token requests after a failed one, doubled with each failure that follows.
    /// More than zero. Default: one second.
    /// </summary>
    public TimeSpan MinFailureBackoff { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Gets or sets the longest time without token requests after failures, and the time after rejected credentials; at least
    /// <see cref="MinFailureBackoff"/>. Default: one minute. A longer <c>Retry-After</c> of the service is kept to, up to 15 minutes.
    /// </summary>
    public TimeSpan MaxFailureBackoff { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Gets or sets how many bytes of a request's body are kept for a second send where the body cannot certainly be read again (a lazy
    /// sequence in <c>JsonContent</c>, a one-way stream). Default: 1 MiB (1,048,576). Zero keeps nothing: such a request is not sent again.
    /// </summary>
    public long MaxReplayBodySize { get; set; } = 1024 * 1024;

    /// <summary>
    /// Gets or sets the bound on one operation of the distributed cache, once it is connected: more than zero, at most one day. Default: one
    /// second. It holds where <see cref="SparkflyAuthBuilder.UseDistributedCache"/> is on.
    /// </summary>
    public TimeSpan DistributedCacheTimeout { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Gets or sets a value indicating whether plain http is allowed for addresses beyond <c>localhost</c> and loopback addresses, for a
    /// stub in a container network. Default: <see langword="false"/>.
    /// </summary>
    public bool AllowHttp { get; set; }
}
