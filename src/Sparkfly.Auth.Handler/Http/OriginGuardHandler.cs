using System.Net;
using System.Net.Http.Headers;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The innermost handler of a pipeline, below everything that may send a message elsewhere: a secret of ours that is about to leave for
/// another origin than its own is taken off. It also does what the primary handler did before it was made safe: follows redirects, and keeps
/// the cookies of other hosts.
/// </summary>
internal sealed class OriginGuardHandler(ILogger logger) : DelegatingHandler
{
    /// <summary>What the handler below did, and now this one does.</summary>
    public PrimaryHandlerPolicy Primary { get; set; } = new(0, null);

    /// <inheritdoc/>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        SendGuardedAsync(request, isAsync: true, cancellationToken);

    /// <inheritdoc/>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
        // With isAsync: false nothing is awaited that is not complete already.
        SendGuardedAsync(request, isAsync: false, cancellationToken).GetAwaiter().GetResult();

    private Task<HttpResponseMessage> SendGuardedAsync(HttpRequestMessage request, bool isAsync, CancellationToken cancellationToken)
    {
        bool hasSecret = Guard(request);
        Task<HttpResponseMessage> sending = SendHopAsync(request, hasSecret, isAsync, cancellationToken);
        return Primary.MaxRedirections == 0 || (sending.IsCompletedSuccessfully && !Redirects.IsRedirect(sending.Result.StatusCode))
            ? sending
            : FollowAsync(request, sending, hasSecret, isAsync, cancellationToken);
    }

    /// <summary>Takes secrets off that may not go where the message is about to go.</summary>
    /// <returns>Whether one of ours stays on.</returns>
    private bool Guard(HttpRequestMessage request)
    {
        bool hasSecret = false;
        foreach ((string header, HeaderStringValues values) in request.Headers.NonValidated)
        {
            if (!HeaderText.IsSecret(header))
            {
                continue;
            }

            foreach (string value in values)
            {
                if (SecretOrigins.Of(value) is not { } origins)
                {
                    continue;
                }

                if (!IsOneOf(origins, request.RequestUri))
                {
                    request.Headers.Remove(header);
                    Log.SecretTakenOff(logger, Origin.Of(request.RequestUri));

                    // From the start, since the headers are others now.
                    return Guard(request);
                }

                hasSecret = true;
            }
        }

        return hasSecret;
    }

    /// <summary>In the primary handler's place. Each hop is guarded, so that the token is off for good once the chain has left its origin.</summary>
    private async Task<HttpResponseMessage> FollowAsync(
        HttpRequestMessage request, Task<HttpResponseMessage> sending, bool hasSecret, bool isAsync, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await sending.ConfigureAwait(false);
        for (int hop = 0; hop < Primary.MaxRedirections && Next(request, response, hasSecret) is { } target; hop++)
        {
            HttpStatusCode status = response.StatusCode;
            response.Dispose();
            Redirects.Apply(request, status, target);
            hasSecret = Guard(request);

            Redirects.IsFollowing = true;
            response = await SendHopAsync(request, hasSecret, isAsync, cancellationToken).ConfigureAwait(false);
        }

        return response;
    }

    /// <summary>Where the answer leads; null where it goes to the caller as it is.</summary>
    private static Uri? Next(HttpRequestMessage request, HttpResponseMessage response, bool hasSecret)
    {
        if (Redirects.Target(request.RequestUri!, response) is not { } target)
        {
            return null;
        }

        // A token request follows no redirect, whoever makes it: a generated client has a method for it.
        bool isTokenRequest = hasSecret && request.Headers.NonValidated.Contains(HeaderText.Key);
        bool losesBody = request.Content is null || Redirects.BecomesGet(response.StatusCode, request.Method);

        // Ours goes with the very same bytes or not at all; others' as the platform does it, where that does not fail.
        bool canBeSentAgain = losesBody || (hasSecret ? ReplayableContent.CanBeSentAgain(request.Content) : !ReplayableContent.IsOneWay(request.Content));
        return isTokenRequest || !canBeSentAgain ? null : target;
    }

    private Task<HttpResponseMessage> SendHopAsync(HttpRequestMessage request, bool hasSecret, bool isAsync, CancellationToken cancellationToken) =>
        !hasSecret && Primary.Cookies is { } cookies ? SendWithCookiesAsync(request, cookies, isAsync, cancellationToken)
        : isAsync ? base.SendAsync(request, cancellationToken)
        : Task.FromResult(base.Send(request, cancellationToken));

    private async Task<HttpResponseMessage> SendWithCookiesAsync(
        HttpRequestMessage request, CookieContainer cookies, bool isAsync, CancellationToken cancellationToken)
    {
        Uri uri = request.RequestUri!;
        string? own = Cookies.Add(request, cookies);
        try
        {
            HttpResponseMessage response = isAsync
                ? await base.SendAsync(request, cancellationToken).ConfigureAwait(false)
                : base.Send(request, cancellationToken);
            Cookies.Keep(response, uri, cookies);
            return response;
        }
        finally
        {
            Cookies.Restore(request, own);
        }
    }

    private static bool IsOneOf(Origin[] origins, Uri? uri)
    {
        foreach (Origin origin in origins)
        {
            if (origin.Matches(uri))
            {
                return true;
            }
        }

        return false;
    }
}
