using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace Sparkfly.Auth.Handler;

/// <summary>One account's options, validated and frozen: what the rest of the package works with. Compared by value.</summary>
[DebuggerDisplay("{ToString(),nq}")]
internal sealed record AccountSettings
{
    // PathAndQuery of what counts as the auth endpoint at the account's origin; null where there is none.
    private readonly string _baseAuthPath;
    private readonly string? _rootAuthPath;
    private readonly string? _configuredAuthPath;

    private AccountSettings(SparkflyAuthOptions options)
    {
        BaseAddress = WithLastSlash(options.BaseAddress!);
        Origin = new Origin(BaseAddress);
        var underBase = new Uri(BaseAddress, "auth");
        Uri? atRoot = BaseAddress.AbsolutePath == "/v1.0/" ? new Uri(BaseAddress, "/auth") : null;
        AuthEndpoint = options.AuthEndpoint ?? underBase;
        RootAuthEndpoint = options.AuthEndpoint is null ? atRoot : null;

        // Both addresses, also if AuthEndpoint is set: a generated client has its own address for the token request.
        _baseAuthPath = underBase.PathAndQuery;
        _rootAuthPath = atRoot?.PathAndQuery;
        _configuredAuthPath = Origin.Matches(AuthEndpoint) ? AuthEndpoint.PathAndQuery : null;

        Identity = options.Identity!;
        Key = options.Key!;
        Scope = NullIfBlank(options.Scope);
        ForwardedFor = NullIfBlank(options.ForwardedFor);
        AccountDigest = ComputeDigest();

        UsableLife = options.TokenLifetime - options.ExpirationMargin;
        RefreshWindow = options.RefreshAhead.AtMost(UsableLife / 2);
        AuthTimeout = options.AuthTimeout;
        RetryOnUnauthorized = options.RetryOnUnauthorized;
        UnauthorizedRefreshInterval = options.UnauthorizedRefreshInterval;
        MinFailureBackoff = options.MinFailureBackoff;
        MaxFailureBackoff = options.MaxFailureBackoff;
        MaxReplayBodySize = options.MaxReplayBodySize;
        DistributedCacheTimeout = options.DistributedCacheTimeout;
    }

    /// <summary>Settings of no account: no address is at its origin.</summary>
    public static AccountSettings Nowhere { get; } =
        new(new SparkflyAuthOptions { Identity = "", Key = "" }) { Origin = Origin.Nowhere };

    /// <summary>With its last slash, so that relative addresses of a client are resolved under it.</summary>
    public Uri BaseAddress { get; }

    /// <summary>Where the account's token may go.</summary>
    public Origin Origin { get; private init; }

    public Uri AuthEndpoint { get; }

    /// <summary>The other home of <c>/auth</c>, to be asked where <see cref="AuthEndpoint"/> is not the right one; null where it may not be.</summary>
    public Uri? RootAuthEndpoint { get; }

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string Identity { get; }

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string Key { get; }

    public string? Scope { get; }

    public string? ForwardedFor { get; }

    /// <summary>
    /// What an account is (auth endpoint, identity, key, scope, forwarded-for), as a digest: equal for two names of one account. As a
    /// cache key it reveals none of them.
    /// </summary>
    public string AccountDigest { get; }

    /// <summary>How long after its request a token is used: the lifetime without the margin.</summary>
    public TimeSpan UsableLife { get; }

    /// <summary>The window before the end of use in which a token is renewed in the background.</summary>
    public TimeSpan RefreshWindow { get; }

    public TimeSpan AuthTimeout { get; }

    public bool RetryOnUnauthorized { get; }

    public TimeSpan UnauthorizedRefreshInterval { get; }

    public TimeSpan MinFailureBackoff { get; }

    public TimeSpan MaxFailureBackoff { get; }

    public long MaxReplayBodySize { get; }

    public TimeSpan DistributedCacheTimeout { get; }

    /// <param name="options">Valid ones: see <see cref="SparkflyAuthOptionsValidator"/>.</param>
    public static AccountSettings From(SparkflyAuthOptions options) => new(options);

    /// <summary>From when on the token is not used. A lifetime that was made shorter later holds for it too.</summary>
    public DateTimeOffset EndOfUse(SparkflyToken token) => token.ObtainedAt + UsableLife.AtMost(token.ExpiresAt - token.ObtainedAt);

    /// <summary>From when on the token is due for renewal.</summary>
    /// <param name="token">The token.</param>
    /// <param name="jitter">From 0 to 1: where in the first half of the refresh window.</param>
    public DateTimeOffset DueAt(SparkflyToken token, double jitter) => EndOfUse(token) - (RefreshWindow * (1 - (jitter / 2)));

    /// <summary>Says nothing of the account: a record prints its members.</summary>
    public override string ToString() => $"Sparkfly account at {Origin}";

    /// <summary>Whether an address of the account's origin is one of the token request. A generated client has a method for that.</summary>
    // PathAndQuery, since the transport needs it too and Uri keeps what it computed.
    public bool IsAuthEndpoint(Uri uri)
    {
        string path = uri.PathAndQuery;
        return IsAt(path, _baseAuthPath) || IsAt(path, _rootAuthPath) || IsAt(path, _configuredAuthPath);
    }

    private static bool IsAt(string path, string? authPath) =>
        authPath is not null &&
        path.StartsWith(authPath, StringComparison.Ordinal) &&
        (path.Length == authPath.Length || path[authPath.Length] == '?');

    // None of the parts can hold a line break, so joining them with one is unambiguous.
    private string ComputeDigest() =>
        "Sparkfly.Auth.Handler/" + Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(
            string.Join('\n', AuthEndpoint.AbsoluteUri, Identity, Key, Scope, ForwardedFor))));

    private static Uri WithLastSlash(Uri address) =>
        address.AbsolutePath.EndsWith('/') ? address : new Uri(address.AbsoluteUri + "/");

    private static string? NullIfBlank(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;
}
