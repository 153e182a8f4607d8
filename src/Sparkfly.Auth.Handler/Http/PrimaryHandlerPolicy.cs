using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>What a primary handler did before it was made safe, and whether it has been caught leaking. One for each handler. Thread-safe.</summary>
/// <param name="maxRedirections">How many redirects it followed; zero for none.</param>
/// <param name="cookies">Where it kept cookies; null where it kept none, or goes on to keep them itself.</param>
internal sealed class PrimaryHandlerPolicy(int maxRedirections, CookieContainer? cookies)
{
    private volatile bool _isBroken;

    public int MaxRedirections => maxRedirections;

    public CookieContainer? Cookies => cookies;

    /// <summary>Whether the handler has taken a secret to another origin: it is given none any more.</summary>
    public bool IsBroken => _isBroken;

    public void Break() => _isBroken = true;
}
