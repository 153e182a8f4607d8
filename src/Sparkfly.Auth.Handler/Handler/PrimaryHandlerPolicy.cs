using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>What a primary handler did before it was made safe, and what we do in its place. Shared by all pipelines over that handler. Thread-safe.</summary>
internal sealed class PrimaryHandlerPolicy
{
    private volatile bool _isRefused;
    private volatile CookieContainer? _cookies;

    /// <summary>How many redirects it followed; zero for none.</summary>
    public int MaxRedirections { get; init; }

    /// <summary>Where it kept cookies; null where it kept none, or still keeps them itself.</summary>
    public CookieContainer? Cookies
    {
        get => _cookies;
        init => _cookies = value;
    }

    /// <summary>
    /// Whether it authenticates as the user of the process. That cannot be limited to the first hop: the platform recognises the credentials
    /// object by reference, to give each user connections of its own.
    /// </summary>
    public bool HasDefaultCredentials { get; init; }

    /// <summary>The credentials that it must not use for a redirect's target; null where there are none.</summary>
    public FirstHopCredentials? FirstHopCredentials { get; init; }

    /// <summary>The trace headers that it adds to a message.</summary>
    public IReadOnlyCollection<string> TraceFields { get; init; } = [];

    /// <summary>Why it cannot be made safe; null where it is.</summary>
    public InvalidOperationException? Problem { get; init; }

    /// <summary>Whether it has taken a secret to another origin, and is given none any more.</summary>
    public bool IsRefused => _isRefused;

    public void Refuse() => _isRefused = true;

    /// <summary>The cookies have been turned off after all: a client of the API that shares the handler goes on with its container.</summary>
    public void TakeOver(CookieContainer cookies) => _cookies = cookies;
}
