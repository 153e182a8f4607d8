using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The outermost handler of the pipeline that token requests are made with. Before the first one it makes the pipeline safe for the key,
/// whatever <c>ConfigureAuthClient</c> has put into it: no redirect, no cookies, a guard at the innermost place.
/// </summary>
internal sealed class TokenRequestHandler(ILogger logger) : DelegatingHandler
{
    private readonly Lock _securing = new();
    private volatile PrimaryHandlerPolicy? _primary;

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The primary handler cannot be made safe, or a redirect has been followed to another origin.</exception>
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        PrimaryHandlerPolicy primary = _primary ?? Secure();
        if (primary.IsBroken)
        {
            throw TookTheKeyAlong();
        }

        // Before it is sent: a handler may change the message.
        var home = new Origin(request.RequestUri!);
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        HttpRequestMessage sent = response.RequestMessage ?? request;
        if (home.Matches(sent.RequestUri))
        {
            return response;
        }

        response.Dispose();
        if (!sent.Headers.NonValidated.Contains(HeaderText.Key))
        {
            throw new InvalidOperationException(
                $"A handler of the token request's client has followed a redirect to {Origin.Of(sent.RequestUri)}, whose answer is not Sparkfly's. " +
                "Turn its redirects off in ConfigureAuthClient.");
        }

        primary.Break();
        Log.PrimaryHandlerFollowedRedirect(logger, PrimaryHandlers.Innermost(this).GetType().ToString());
        throw TookTheKeyAlong();
    }

    private PrimaryHandlerPolicy Secure()
    {
        lock (_securing)
        {
            return _primary ??= PrimaryHandlers.SecureForTokenRequest(this, new OriginGuardHandler(logger));
        }
    }

    private InvalidOperationException TookTheKeyAlong() => new(
        $"The primary handler of the token request ({PrimaryHandlers.Innermost(this).GetType()}) has followed a redirect to another " +
        "origin and taken the key along, so it is not used any more. Turn its redirects off in ConfigureAuthClient.");
}
