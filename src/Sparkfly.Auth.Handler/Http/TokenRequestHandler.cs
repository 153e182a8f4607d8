using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The outermost handler of the pipeline that token requests are made with. Before the first one it makes the pipeline safe for the key,
/// whatever <c>ConfigureAuthClient</c> has put into it: no redirect, no cookies, a guard at the innermost place.
/// </summary>
internal sealed class TokenRequestHandler(SparkflyAccount account, ILogger logger) : DelegatingHandler
{
    private readonly Lock _securing = new();
    private volatile bool _isSecured;
    private volatile bool _primaryHandlerLeaks;

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The primary handler cannot be made safe, or has followed a redirect.</exception>
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Secure();
        if (_primaryHandlerLeaks)
        {
            throw FollowedRedirect();
        }

        HttpResponseMessage response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        if (response.RequestMessage is not { } sent || IsHome(sent.RequestUri) || !sent.Headers.NonValidated.Contains(HeaderText.Key))
        {
            return response;
        }

        response.Dispose();
        _primaryHandlerLeaks = true;
        Log.PrimaryHandlerFollowedRedirect(logger, PrimaryHandlers.Innermost(this)?.GetType().FullName ?? "(none)");
        throw FollowedRedirect();
    }

    private void Secure()
    {
        if (_isSecured)
        {
            return;
        }

        lock (_securing)
        {
            if (!_isSecured)
            {
                PrimaryHandlers.SecureForTokenRequest(this, new OriginGuardHandler([HeaderText.Key, HeaderText.Identity], IsHome, logger));
                _isSecured = true;
            }
        }
    }

    private bool IsHome(Uri? uri) => new Origin(account.Settings.AuthEndpoint).Matches(uri);

    private InvalidOperationException FollowedRedirect() => new(
        $"The primary handler of the token request ({PrimaryHandlers.Innermost(this)?.GetType().FullName}) has followed a redirect to another " +
        "origin and taken the key along, so it is not used any more. Turn its redirects off in ConfigureAuthClient.");
}
