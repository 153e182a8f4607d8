using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Makes handlers that talk to the network safe for secrets before their first request: turns their redirects and cookies off, which we take over.
/// Thread-safe.
/// </summary>
/// <remarks>
/// The platform's redirect handling forwards every header but <c>Authorization</c> to any address in <c>Location</c>
/// (<see href="https://learn.microsoft.com/dotnet/api/system.net.http.socketshttphandler.allowautoredirect">AllowAutoRedirect</see>), and its
/// cookie container is one for all accounts of a client.
/// </remarks>
internal sealed class PrimaryHandlers(ILogger logger)
{
    private const string PolicyKey = "Sparkfly.Auth.Handler.PrimaryHandlerPolicy";

    // Handlers of types that we do not know, which have no place to keep their policy.
    private readonly ConditionalWeakTable<HttpMessageHandler, PrimaryHandlerPolicy> _unknown = new();

    // Clients whose primary handler has followed a redirect away. Each new instance of it would do so again.
    private readonly ConcurrentDictionary<string, PrimaryHandlerPolicy> _refused = new();
    private volatile bool _isAnyRefused;

    /// <summary>For a pipeline that calls the API: takes over redirects, and cookies unless the application's container holds some.</summary>
    /// <exception cref="InvalidOperationException">The pipeline has no handler to send requests with.</exception>
    public PrimaryHandlerPolicy ForApi(DelegatingHandler above)
    {
        HttpMessageHandler primary = Innermost(above);
        lock (primary)
        {
            return primary switch
            {
                SocketsHttpHandler sockets => PolicyOf(sockets.Properties, () => TakeOver(sockets)),
                HttpClientHandler client => PolicyOf(client.Properties, () => TakeOver(client)),
                _ => _unknown.GetValue(primary, static _ => new PrimaryHandlerPolicy { TraceFields = FieldsOf(DistributedContextPropagator.Current) }),
            };
        }
    }

    /// <summary>For a pipeline of token requests: no redirects, and no cookies even of the application's own container.</summary>
    /// <exception cref="InvalidOperationException">The primary handler has been used already, and cannot be changed any more.</exception>
    public PrimaryHandlerPolicy ForTokenRequests(DelegatingHandler above)
    {
        // As for the API first, so that a handler shared with a client of the API remembers what it did.
        PrimaryHandlerPolicy policy = ForApi(above);
        if (policy.Problem is { } problem)
        {
            throw problem;
        }

        HttpMessageHandler primary = Innermost(above);
        try
        {
            // Under the lock, since a client of the API that shares the handler may be asking for its policy.
            lock (primary)
            {
                switch (primary)
                {
                    case SocketsHttpHandler { UseCookies: true } sockets:
                        sockets.UseCookies = false;
                        policy.TakeOver(sockets.CookieContainer);
                        break;
                    case HttpClientHandler { UseCookies: true } client:
                        client.UseCookies = false;
                        policy.TakeOver(client.CookieContainer);
                        break;
                }
            }
        }
        catch (InvalidOperationException exception)
        {
            throw CannotBeChanged(primary, exception);
        }

        return policy;
    }

    /// <summary>Whether the primary handlers of this client are given no secret any more.</summary>
    public bool IsRefused(PrimaryHandlerPolicy policy, string? client) =>
        policy.IsRefused || (_isAnyRefused && client is not null && _refused.ContainsKey(client));

    /// <summary>The handler has followed a redirect with a secret: neither it nor another one of its client is given a secret again.</summary>
    public void Refuse(PrimaryHandlerPolicy policy, string? client, DelegatingHandler above)
    {
        policy.Refuse();
        if (client is not null)
        {
            _refused[client] = policy;
            _isAnyRefused = true;
        }

        Log.PrimaryHandlerFollowedRedirect(logger, Innermost(above).GetType().ToString());
    }

    /// <summary>The handler that talks to the network: a <see cref="DelegatingHandler"/> too, where it has nothing below it.</summary>
    public static HttpMessageHandler Innermost(DelegatingHandler above)
    {
        HttpMessageHandler handler = above.InnerHandler ??
            throw new InvalidOperationException($"The {above.GetType().Name} has no InnerHandler to send requests with.");
        while (handler is DelegatingHandler { InnerHandler: { } inner })
        {
            handler = inner;
        }

        return handler;
    }

    /// <summary>The policy is kept with the handler: an application may share it between clients, and between service providers.</summary>
    private static PrimaryHandlerPolicy PolicyOf(IDictionary<string, object?> properties, Func<PrimaryHandlerPolicy> takeOver)
    {
        if (properties.TryGetValue(PolicyKey, out object? kept))
        {
            return (PrimaryHandlerPolicy)kept!;
        }

        PrimaryHandlerPolicy policy = takeOver();
        if (policy.Problem is null)
        {
            properties[PolicyKey] = policy;
        }

        return policy;
    }

    private static PrimaryHandlerPolicy TakeOver(SocketsHttpHandler handler) => TakeOver(
        handler,
        handler.AllowAutoRedirect ? handler.MaxAutomaticRedirections : 0,
        handler.UseCookies ? handler.CookieContainer : null,
        handler.Credentials,
        handler.ActivityHeadersPropagator,
        credentials => (handler.AllowAutoRedirect, handler.Credentials) = (false, credentials),
        () => handler.UseCookies = false);

    private static PrimaryHandlerPolicy TakeOver(HttpClientHandler handler) => TakeOver(
        handler,
        handler.AllowAutoRedirect ? handler.MaxAutomaticRedirections : 0,
        handler.UseCookies ? handler.CookieContainer : null,
        handler.Credentials,
        DistributedContextPropagator.Current,
        credentials => (handler.AllowAutoRedirect, handler.Credentials) = (false, credentials),
        () => handler.UseCookies = false);

    private static PrimaryHandlerPolicy TakeOver(
        HttpMessageHandler handler,
        int maxRedirections,
        CookieContainer? cookies,
        ICredentials? credentials,
        DistributedContextPropagator? propagator,
        Action<ICredentials?> turnRedirectsOff,
        Action turnCookiesOff)
    {
        bool isDefault = ReferenceEquals(credentials, CredentialCache.DefaultCredentials);
        FirstHopCredentials? limited = credentials is null or CredentialCache || isDefault ? null : new FirstHopCredentials(credentials);
        bool takesCookies = cookies is { Count: 0 };
        try
        {
            if (maxRedirections > 0)
            {
                turnRedirectsOff(limited ?? credentials);
            }

            if (takesCookies)
            {
                turnCookiesOff();
            }
        }
        catch (InvalidOperationException exception)
        {
            return new PrimaryHandlerPolicy { Problem = CannotBeChanged(handler, exception) };
        }

        return new PrimaryHandlerPolicy
        {
            MaxRedirections = maxRedirections,
            Cookies = takesCookies ? cookies : null,
            HasDefaultCredentials = isDefault,
            FirstHopCredentials = limited,
            TraceFields = FieldsOf(propagator),
        };
    }

    private static IReadOnlyCollection<string> FieldsOf(DistributedContextPropagator? propagator) => propagator is null ? [] : [.. propagator.Fields];

    private static InvalidOperationException CannotBeChanged(HttpMessageHandler primary, InvalidOperationException exception) => new(
        $"The primary {primary.GetType().Name} of this Sparkfly client has sent requests, or was disposed of, before the client's first request, so " +
        "its redirects and cookies can no longer be turned off; no token was sent. Give the client a handler of its own, or set AllowAutoRedirect " +
        "and UseCookies to false before the handler's first use.",
        exception);
}
