using System.Net.Http.Headers;

namespace Sparkfly.Auth.Handler;

/// <summary>Scheme, host and port: the boundary that a token does not leave (RFC 6454, section 4).</summary>
internal sealed record Origin
{
    private readonly string _scheme;
    private readonly string _host;
    private readonly int _port;

    private Origin() => (_scheme, _host, _port) = ("", "", -1);

    public Origin(Uri address) => (_scheme, _host, _port) = (address.Scheme, address.IdnHost, address.Port);

    /// <summary>The origin of no address.</summary>
    public static Origin Nowhere { get; } = new();

    /// <summary>
    /// Compared by <see cref="Uri.IdnHost"/>, which is the name that a connection is made to: unlike <see cref="Uri.Host"/> it tells IPv6
    /// scopes apart, and a name in Unicode is the same as in Punycode.
    /// </summary>
    public bool Matches(Uri? uri) =>
        uri is { IsAbsoluteUri: true } &&
        uri.Port == _port &&
        string.Equals(uri.Scheme, _scheme, StringComparison.Ordinal) &&
        string.Equals(uri.IdnHost, _host, StringComparison.OrdinalIgnoreCase);

    /// <summary>Checks that a message to this origin says so in its <c>Host</c> header too, if it has one.</summary>
    /// <remarks>The platform checks a server's certificate against that name, so the header decides who answers.</remarks>
    /// <exception cref="InvalidOperationException">It names another host.</exception>
    public void CheckHostHeader(HttpRequestMessage request)
    {
        HttpHeadersNonValidated headers = request.Headers.NonValidated;
        if (headers.Count > 0 && headers.TryGetValues("Host", out HeaderStringValues host) && !IsNamedBy(host.ToString()))
        {
            throw new InvalidOperationException(
                $"The request to {this} has a Host header that names another host, so it was not sent: the token would go to whom that name belongs. " +
                "Remove the header. To call Sparkfly under another name, set BaseAddress; to connect to another address, set a proxy or " +
                "SocketsHttpHandler.ConnectCallback.");
        }
    }

    private bool IsNamedBy(string host) =>
        Uri.TryCreate($"{_scheme}://{host}", UriKind.Absolute, out Uri? named) &&
        named is { UserInfo: "", PathAndQuery: "/", Fragment: "" } &&
        string.Equals(named.IdnHost, _host, StringComparison.OrdinalIgnoreCase) &&
        (named.Port == _port || named.IsDefaultPort);

    /// <summary>Whether the address is at one of Sparkfly's own hosts.</summary>
    public static bool IsSparkflys(Uri uri) => uri.IdnHost.EndsWith(".sparkfly.com", StringComparison.OrdinalIgnoreCase);

    /// <summary>The origin of any absolute address, for messages: no path, no query, no user info.</summary>
    public static string Of(Uri? uri) =>
        uri is { IsAbsoluteUri: true } ? uri.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped) : "an address that is not absolute";

    public override string ToString() => $"{_scheme}://{_host}:{_port}";
}
