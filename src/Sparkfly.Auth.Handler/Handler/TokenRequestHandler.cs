using System.Globalization;
using System.Net.Http.Headers;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The last handler of a token request before the network. It attaches the credentials, and takes the token off the response, so that no handler of
/// <c>ConfigureAuthClient</c> and no log sees either.
/// </summary>
internal sealed class TokenRequestHandler(PrimaryHandlers primaries, string client) : DelegatingHandler, IInnermostHandler
{
    // Set once, before the first request.
    private volatile PrimaryHandlerPolicy? _primary;

    Task<HttpResponseMessage> IInnermostHandler.SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        SendAsync(request, cancellationToken);

    HttpResponseMessage IInnermostHandler.Send(HttpRequestMessage request, CancellationToken cancellationToken) => Send(request, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The message is not the token request, goes elsewhere, or the primary handler cannot be made safe.</exception>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        SendAsync(request, isAsync: true, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The message is not the token request, goes elsewhere, or the primary handler cannot be made safe.</exception>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
        SendAsync(request, isAsync: false, cancellationToken).GetAwaiter().GetResult();

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, bool isAsync, CancellationToken cancellationToken)
    {
        PrimaryHandlerPolicy primary = _primary ??= primaries.ForTokenRequests(this);
        if (primaries.IsRefused(primary, client))
        {
            throw TookTheKeyAlong();
        }

        if (!request.Options.TryGetValue(TokenExchange.OptionsKey, out TokenExchange? exchange))
        {
            throw new InvalidOperationException(
                $"A handler of ConfigureAuthClient has sent to {Origin.Of(request.RequestUri)} a message of its own, or a copy of the token request " +
                "without its options. Send the original, or copy HttpRequestMessage.Options too; follow no redirect.");
        }

        var home = new Origin(exchange.Endpoint);
        if (!home.Matches(request.RequestUri) || request.RequestUri!.AbsolutePath != exchange.Endpoint.AbsolutePath)
        {
            throw new InvalidOperationException(
                $"A handler of ConfigureAuthClient has sent the token request to another address, at {Origin.Of(request.RequestUri)}, where the key " +
                "must not go. Let it follow no redirect; to ask for tokens there, set AuthEndpoint.");
        }

        home.CheckHostHeader(request);
        Attach(request.Headers, exchange.Settings);
        int headers = request.Headers.NonValidated.Count;
        try
        {
            HttpResponseMessage response = isAsync
                ? await base.SendAsync(request, cancellationToken).ConfigureAwait(false)
                : base.Send(request, cancellationToken);
            return Receive(request, response, exchange, home);
        }
        catch (HttpRequestException exception) when (exception.HttpRequestError == HttpRequestError.InvalidResponse)
        {
            throw InvalidResponse.WithoutText();
        }
        finally
        {
            TraceHeaders.RemoveAdded(request, headers, primary.TraceFields);
            request.Headers.Remove(HeaderText.Identity);
            request.Headers.Remove(HeaderText.Key);
        }
    }

    private static void Attach(HttpRequestHeaders headers, AccountSettings settings)
    {
        headers.Remove(HeaderText.Identity);
        headers.Remove(HeaderText.Key);
        headers.TryAddWithoutValidation(HeaderText.Identity, settings.Identity);
        headers.TryAddWithoutValidation(HeaderText.Key, settings.Key);
    }

    private HttpResponseMessage Receive(HttpRequestMessage request, HttpResponseMessage response, TokenExchange exchange, Origin home)
    {
        HttpRequestMessage answered = response?.RequestMessage ?? request;
        if (!home.Matches(answered.RequestUri))
        {
            primaries.Refuse(_primary!, client, this);
            response!.Dispose();
            throw TookTheKeyAlong();
        }

        if (response is not null && response.Headers.NonValidated.TryGetValues(HeaderText.Token, out HeaderStringValues token))
        {
            exchange.Token = [.. token];
            response.Headers.Remove(HeaderText.Token);
        }

        if (response is not null)
        {
            RemoveSecrets(response, exchange);
        }

        if (!ReferenceEquals(answered, request))
        {
            answered.Headers.Remove(HeaderText.Identity);
            answered.Headers.Remove(HeaderText.Key);
        }

        return response!;
    }

    /// <summary>Removes from the response what repeats a secret: handlers and logs above see the rest.</summary>
    private static void RemoveSecrets(HttpResponseMessage response, TokenExchange exchange)
    {
        string? origin = Uri.TryCreate(exchange.Endpoint, response.Headers.Location, out Uri? target) ? Origin.Of(target) : null;
        foreach (HttpHeaders headers in (HttpHeaders[])[response.Headers, response.Content.Headers])
        {
            foreach ((string name, HeaderStringValues values) in headers.NonValidated.ToArray())
            {
                // A short identity may be the same number by accident, and these two are of use.
                bool isPlain = (name.Equals("Retry-After", StringComparison.OrdinalIgnoreCase) && values.Count == 1 && response.Headers.RetryAfter is not null) ||
                    (name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase) && long.TryParse(values.ToString(), NumberStyles.None, null, out _));
                if (!isPlain && !exchange.MayShow($"{name}: {values}"))
                {
                    headers.Remove(name);
                }
            }
        }

        // Only the origin is of use. The rest may repeat the request, in an encoding of its own. With a path: before .NET 10, to resolve an address
        // without one against another throws.
        response.Headers.Location = origin is not null && exchange.MayShow(origin) && Uri.TryCreate($"{origin}/", UriKind.Absolute, out Uri? shown) ? shown : null;

        if (!exchange.MayShow(response.ReasonPhrase ?? ""))
        {
            response.ReasonPhrase = null;
        }
    }

    private InvalidOperationException TookTheKeyAlong() => new(
        $"The primary handler of the token request ({PrimaryHandlers.Innermost(this).GetType()}) has followed a redirect to another " +
        "origin and taken the key along, so it is not used any more. Turn its redirects off in ConfigureAuthClient.");
}
