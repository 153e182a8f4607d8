using System.Net;
using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler;

/// <summary>Makes the handler that talks to the network safe for secrets, and builds the guard in above it.</summary>
/// <remarks>
/// The platform's redirect handling forwards every header but <c>Authorization</c> to whatever <c>Location</c> says
/// (<see href="https://learn.microsoft.com/dotnet/api/system.net.http.socketshttphandler.allowautoredirect">AllowAutoRedirect</see>), and its
/// cookie container is one for all accounts of a client.
/// </remarks>
internal static class PrimaryHandlers
{
    // What a handler was like before it was made safe: one that the application shares between clients is seen again. Also the lock that
    // makes one pipeline safe at a time, since they may share a part.
    private static readonly ConditionalWeakTable<HttpMessageHandler, PrimaryHandlerPolicy> s_secured = new();

    /// <summary>For a pipeline that calls the API: takes over redirects, and cookies unless the application brought some.</summary>
    /// <returns>What the primary handler was like.</returns>
    /// <exception cref="InvalidOperationException">
    /// There is no primary handler yet; or it has been used already, and cannot be changed any more.
    /// </exception>
    public static PrimaryHandlerPolicy SecureForApi(DelegatingHandler outermost, OriginGuardHandler guard)
    {
        lock (s_secured)
        {
            HttpMessageHandler primary = InsertGuard(outermost, guard);
            if (!s_secured.TryGetValue(primary, out PrimaryHandlerPolicy? policy))
            {
                policy = Secure(primary);
                s_secured.Add(primary, policy);
            }

            guard.Primary = policy;
            return policy;
        }
    }

    /// <summary>For the pipeline of the token request: no redirect, no cookies, be they the application's own.</summary>
    /// <inheritdoc cref="SecureForApi"/>
    public static PrimaryHandlerPolicy SecureForTokenRequest(DelegatingHandler outermost, OriginGuardHandler guard)
    {
        // The API's settings first, so that a handler shared with a client of the API remembers what it did.
        PrimaryHandlerPolicy policy = SecureForApi(outermost, guard);
        HttpMessageHandler primary = Innermost(outermost);
        try
        {
            _ = primary switch
            {
                SocketsHttpHandler { UseCookies: true } sockets => sockets.UseCookies = false,
                HttpClientHandler { UseCookies: true } client => client.UseCookies = false,
                _ => false,
            };
        }
        catch (InvalidOperationException exception)
        {
            throw CannotBeChanged(primary, exception);
        }

        guard.Primary = new PrimaryHandlerPolicy(0, null);
        return policy;
    }

    /// <summary>The handler that talks to the network, whatever it is: a <see cref="DelegatingHandler"/> too, where it has nothing below it.</summary>
    public static HttpMessageHandler Innermost(DelegatingHandler outermost)
    {
        HttpMessageHandler handler = outermost;
        while (handler is DelegatingHandler { InnerHandler: { } inner })
        {
            handler = inner;
        }

        return handler;
    }

    /// <summary>
    /// Puts the guard directly above the innermost handler. Where the application shares a chain between clients, a part of it has been
    /// used already and cannot be changed; then it has a guard of its own, or the guard goes directly above it.
    /// </summary>
    private static HttpMessageHandler InsertGuard(DelegatingHandler outermost, OriginGuardHandler guard)
    {
        var chain = new Stack<DelegatingHandler>();
        HttpMessageHandler handler = outermost;
        while (handler is DelegatingHandler { InnerHandler: { } inner } outer)
        {
            chain.Push(outer);
            handler = inner;
        }

        if (chain.Count == 0)
        {
            // One may still be put in, which must then be made safe.
            throw new InvalidOperationException($"The {outermost.GetType().Name} has no InnerHandler to send requests with.");
        }

        while (chain.Peek() is not OriginGuardHandler)
        {
            DelegatingHandler above = chain.Pop();
            try
            {
                guard.InnerHandler = above.InnerHandler!;
                above.InnerHandler = guard;
                break;
            }
            catch (InvalidOperationException) when (chain.Count > 0)
            {
                // It has sent requests already: one further out.
            }
        }

        return handler;
    }

    private static PrimaryHandlerPolicy Secure(HttpMessageHandler primary)
    {
        try
        {
            return primary switch
            {
                SocketsHttpHandler sockets => Secure(sockets),
                HttpClientHandler client => Secure(client),
                _ => new PrimaryHandlerPolicy(0, null),
            };
        }
        catch (InvalidOperationException exception)
        {
            throw CannotBeChanged(primary, exception);
        }
    }

    private static PrimaryHandlerPolicy Secure(SocketsHttpHandler handler)
    {
        CookieContainer? cookies = handler.UseCookies && handler.CookieContainer.Count == 0 ? handler.CookieContainer : null;
        var policy = new PrimaryHandlerPolicy(handler.AllowAutoRedirect ? handler.MaxAutomaticRedirections : 0, cookies);
        if (handler.AllowAutoRedirect)
        {
            handler.AllowAutoRedirect = false;
            handler.Credentials = FirstHopCredentials.Of(handler.Credentials);
        }

        if (cookies is not null)
        {
            handler.UseCookies = false;
        }

        return policy;
    }

    // The same properties, without a type that has them in common.
    private static PrimaryHandlerPolicy Secure(HttpClientHandler handler)
    {
        CookieContainer? cookies = handler.UseCookies && handler.CookieContainer.Count == 0 ? handler.CookieContainer : null;
        var policy = new PrimaryHandlerPolicy(handler.AllowAutoRedirect ? handler.MaxAutomaticRedirections : 0, cookies);
        if (handler.AllowAutoRedirect)
        {
            handler.AllowAutoRedirect = false;
            handler.Credentials = FirstHopCredentials.Of(handler.Credentials);
        }

        if (cookies is not null)
        {
            handler.UseCookies = false;
        }

        return policy;
    }

    private static InvalidOperationException CannotBeChanged(HttpMessageHandler primary, InvalidOperationException exception) => new(
        $"The primary {primary.GetType().Name} of this Sparkfly client has sent requests, or was disposed of, before the client's first request, so " +
        "its redirects and cookies can no longer be turned off; no token was sent. Give the client a handler of its own, or set AllowAutoRedirect " +
        "and UseCookies to false before the handler's first use.",
        exception);

    /// <summary>
    /// The platform gives no credentials to a redirect's target, unless they are in a <see cref="CredentialCache"/>, where each has its
    /// address. Now that we follow redirects in its place, so do we.
    /// </summary>
    private sealed class FirstHopCredentials(ICredentials credentials) : ICredentials
    {
        public static ICredentials? Of(ICredentials? credentials) =>
            credentials is null or CredentialCache ? credentials : new FirstHopCredentials(credentials);

        public NetworkCredential? GetCredential(Uri uri, string authType) =>
            Redirects.IsFollowing ? null : credentials.GetCredential(uri, authType);
    }
}
