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
    // What a handler was like before it was made safe: one that the application shares between clients is seen again.
    private static readonly ConditionalWeakTable<HttpMessageHandler, RedirectPolicy> s_secured = new();

    /// <summary>For a pipeline that calls the API: takes over its redirects, and turns cookies off unless the application brought some.</summary>
    /// <returns>How redirects are to be followed in the handler's place.</returns>
    /// <exception cref="InvalidOperationException">
    /// There is no primary handler yet; or it has been used already, and cannot be changed any more.
    /// </exception>
    public static RedirectPolicy SecureForApi(DelegatingHandler outermost, OriginGuardHandler guard)
    {
        HttpMessageHandler primary = InsertGuard(outermost, guard);
        lock (s_secured)
        {
            if (!s_secured.TryGetValue(primary, out RedirectPolicy? policy))
            {
                policy = Change(primary, static handler => handler switch
                {
                    SocketsHttpHandler sockets => Secure(sockets),
                    HttpClientHandler client => Secure(client),
                    _ => new RedirectPolicy(0),
                });
                s_secured.Add(primary, policy);
            }

            return policy;
        }
    }

    /// <summary>For the pipeline of the token request: no redirect, no cookies.</summary>
    /// <inheritdoc cref="SecureForApi"/>
    public static RedirectPolicy SecureForTokenRequest(DelegatingHandler outermost, OriginGuardHandler guard)
    {
        // The API's settings first, so that a handler shared with a client of the API remembers which redirects that one is to follow.
        RedirectPolicy policy = SecureForApi(outermost, guard);
        return Change(Innermost(outermost), handler =>
        {
            if (handler is SocketsHttpHandler { UseCookies: true } sockets)
            {
                sockets.UseCookies = false;
            }
            else if (handler is HttpClientHandler { UseCookies: true } client)
            {
                client.UseCookies = false;
            }

            return policy;
        });
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

    private static RedirectPolicy Secure(SocketsHttpHandler handler)
    {
        var policy = new RedirectPolicy(handler.AllowAutoRedirect ? handler.MaxAutomaticRedirections : 0);
        if (handler.AllowAutoRedirect)
        {
            handler.AllowAutoRedirect = false;
            handler.Credentials = FirstHopCredentials.Of(handler.Credentials);
        }

        if (handler.UseCookies && handler.CookieContainer.Count == 0)
        {
            handler.UseCookies = false;
        }

        return policy;
    }

    private static RedirectPolicy Secure(HttpClientHandler handler)
    {
        var policy = new RedirectPolicy(handler.AllowAutoRedirect ? handler.MaxAutomaticRedirections : 0);
        if (handler.AllowAutoRedirect)
        {
            handler.AllowAutoRedirect = false;
            handler.Credentials = FirstHopCredentials.Of(handler.Credentials);
        }

        if (handler.UseCookies && handler.CookieContainer.Count == 0)
        {
            handler.UseCookies = false;
        }

        return policy;
    }

    private static RedirectPolicy Change(HttpMessageHandler primary, Func<HttpMessageHandler, RedirectPolicy> change)
    {
        try
        {
            return change(primary);
        }
        catch (InvalidOperationException exception)
        {
            throw new InvalidOperationException(
                $"The primary {primary.GetType().Name} of this Sparkfly client has sent requests before the client was built, so its redirects and " +
                "cookies can no longer be turned off; no token was sent. Give the client a handler of its own, or set AllowAutoRedirect and " +
                "UseCookies to false before the handler's first use.",
                exception);
        }
    }

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
