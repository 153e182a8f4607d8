namespace Sparkfly.Auth.Handler;

/// <summary>Scheme, host and port: the boundary that a token does not leave (RFC 6454, section 4).</summary>
internal sealed record Origin
{
    private readonly string _scheme;
    private readonly string _host;
    private readonly int _port;

    public Origin(Uri address) => (_scheme, _host, _port) = (address.Scheme, address.IdnHost, address.Port);

    /// <summary>
    /// Compared by <see cref="Uri.IdnHost"/>, which is the name that a connection is made to: unlike <see cref="Uri.Host"/> it tells IPv6
    /// scopes apart, and a name in Unicode is the same as in Punycode.
    /// </summary>
    public bool Matches(Uri? uri) =>
        uri is { IsAbsoluteUri: true } &&
        uri.Port == _port &&
        string.Equals(uri.Scheme, _scheme, StringComparison.Ordinal) &&
        string.Equals(uri.IdnHost, _host, StringComparison.OrdinalIgnoreCase);

    /// <summary>The origin of any absolute address, for messages: no path, no query, no user info.</summary>
    public static string Of(Uri? uri) =>
        uri is { IsAbsoluteUri: true } ? uri.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped) : "an address that is not absolute";

    public override string ToString() => _port < 0 ? $"{_scheme}://{_host}" : $"{_scheme}://{_host}:{_port}";
}
