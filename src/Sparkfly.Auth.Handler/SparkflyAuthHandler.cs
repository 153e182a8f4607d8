using System.Net;
using System.Net.Http.Headers;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Puts the account's token on every request to Sparkfly, and on nothing else; where the API answers 401, renews it and sends the request
/// again, once.
/// </summary>
/// <remarks>
/// <para>
/// Registered by <c>AddSparkflyAuth</c> as a transient service for the default account, and put on a client by
/// <c>AddSparkflyAuthHandler</c> or <c>AddHttpMessageHandler&lt;SparkflyAuthHandler&gt;()</c>. Thread-safe, as handlers are.
/// </para>
/// <para>
/// Before its first request it makes its pipeline safe for the token: it turns the primary handler's redirects off and follows them itself,
/// turns off cookies, and puts a guard at the innermost place, which lets the token leave for Sparkfly only. A primary handler of another
/// type than <see cref="SocketsHttpHandler"/> or <see cref="HttpClientHandler"/> must not follow redirects by itself.
/// </para>
/// </remarks>
public sealed class SparkflyAuthHandler : DelegatingHandler
{
    private readonly SparkflyAccount _account;
    private readonly SparkflyAccounts _accounts;
    private readonly ILogger _logger;

    // Mutable state, guarded by the lock: set once, before the first request.
    private readonly Lock _securing = new();
    private volatile RedirectPolicy? _redirects;

    internal SparkflyAuthHandler(SparkflyAccount account, SparkflyAccounts accounts, ILogger logger)
    {
        _account = account;
        _accounts = accounts;
        _logger = logger;
    }

    /// <inheritdoc/>
    /// <exception cref="SparkflyAuthenticationException">There is no token for the request, which was not sent.</exception>
    /// <exception cref="InvalidOperationException">
    /// The request names an account that is not registered, or one of another origin; or the primary handler cannot be made safe.
    /// </exception>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        RedirectPolicy redirects = _redirects ?? SecurePipeline();
        SparkflyAccount account = AccountOf(request, out bool isNamed);
        AccountSettings settings = account.Settings;
        if (!settings.TakesToken(request.RequestUri))
        {
            return SendForeignAsync(request, account, settings, redirects, isNamed, isAsync: true, cancellationToken);
        }

        // The settings are looked at again: a token of changed ones may be meant for another origin.
        ValueTask<SparkflyToken> token = account.Tokens.GetTokenAsync(cancellationToken);
        return token.IsCompletedSuccessfully && ReferenceEquals(settings, account.Settings)
            ? SendOwnAsync(new Exchange(request, account, settings, redirects, hasToken: true, isAsync: true), token.Result, cancellationToken)
            : SendColdAsync(request, account, redirects, isNamed, token, cancellationToken);
    }

    /// <inheritdoc/>
    /// <exception cref="SparkflyAuthenticationException">There is no token for the request, which was not sent.</exception>
    /// <exception cref="InvalidOperationException">
    /// The request names an account that is not registered, or one of another origin; or the primary handler cannot be made safe.
    /// </exception>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        RedirectPolicy redirects = _redirects ?? SecurePipeline();
        SparkflyAccount account = AccountOf(request, out bool isNamed);
        SparkflyToken? token = account.Settings.TakesToken(request.RequestUri) ? Block(account.Tokens, null, cancellationToken) : null;
        AccountSettings settings = account.Settings;

        // From here on as above; with isAsync: false nothing is awaited that is not complete already.
        Task<HttpResponseMessage> sent = token is not null && settings.TakesToken(request.RequestUri)
            ? SendOwnAsync(new Exchange(request, account, settings, redirects, hasToken: true, isAsync: false), token, cancellationToken)
            : SendForeignAsync(request, account, settings, redirects, isNamed, isAsync: false, cancellationToken);
        return sent.GetAwaiter().GetResult();
    }

    private async Task<HttpResponseMessage> SendColdAsync(
        HttpRequestMessage request,
        SparkflyAccount account,
        RedirectPolicy redirects,
        bool isNamed,
        ValueTask<SparkflyToken> token,
        CancellationToken cancellationToken)
    {
        SparkflyToken obtained = await token.ConfigureAwait(false);
        AccountSettings settings = account.Settings;
        Task<HttpResponseMessage> sent = settings.TakesToken(request.RequestUri)
            ? SendOwnAsync(new Exchange(request, account, settings, redirects, hasToken: true, isAsync: true), obtained, cancellationToken)
            : SendForeignAsync(request, account, settings, redirects, isNamed, isAsync: true, cancellationToken);
        return await sent.ConfigureAwait(false);
    }

    /// <summary>With the token at hand: an answer that is there at once, and final, costs nothing further.</summary>
    private Task<HttpResponseMessage> SendOwnAsync(Exchange exchange, SparkflyToken token, CancellationToken cancellationToken)
    {
        Task<HttpResponseMessage> sending;
        try
        {
            Attach(exchange, token);
            sending = SendInnerAsync(exchange, cancellationToken);
        }
        catch
        {
            Detach(exchange, null);
            throw;
        }

        if (sending.IsCompletedSuccessfully && exchange.IsFinal(sending.Result))
        {
            Detach(exchange, sending.Result);
            return sending;
        }

        return FinishAsync(exchange, token, sending, cancellationToken);
    }

    private async Task<HttpResponseMessage> FinishAsync(
        Exchange exchange, SparkflyToken token, Task<HttpResponseMessage> sending, CancellationToken cancellationToken)
    {
        HttpResponseMessage? response = null;
        try
        {
            response = await sending.ConfigureAwait(false);
            return exchange.IsFinal(response)
                ? response
                : response = await FollowUpAsync(exchange, token, response, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            // In time for an outer handler that sends the message elsewhere, or prints it.
            Detach(exchange, response);
        }
    }

    /// <summary>What is rare: a redirect, a 401, an answer to another message than was sent.</summary>
    private async Task<HttpResponseMessage> FollowUpAsync(
        Exchange exchange, SparkflyToken token, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        AuthenticationHeaderValue? authorization = exchange.Request.Headers.Authorization;
        bool? isChunked = exchange.Request.Headers.TransferEncodingChunked;

        response = await FollowRedirectsAsync(exchange, response, cancellationToken).ConfigureAwait(false);
        NoteLeak(exchange, response);
        if (!WasRejected(exchange, response) ||
            await RenewAsync(exchange, token, response, cancellationToken).ConfigureAwait(false) is not { } renewed)
        {
            return response;
        }

        // Let go first: one connection is enough.
        response.Dispose();
        exchange.Restore();
        exchange.Request.Headers.Authorization = authorization;
        exchange.Request.Headers.TransferEncodingChunked = isChunked;
        Attach(exchange, renewed);
        response = await SendInnerAsync(exchange, cancellationToken).ConfigureAwait(false);
        response = await FollowRedirectsAsync(exchange, response, cancellationToken).ConfigureAwait(false);
        NoteLeak(exchange, response);
        return response;
    }

    /// <summary>The token to send the request again with; null where the 401 goes to the caller.</summary>
    private async ValueTask<SparkflyToken?> RenewAsync(
        Exchange exchange, SparkflyToken rejected, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        ISparkflyTokenProvider tokens = exchange.Account.Tokens;
        if (!exchange.Settings.RetryOnUnauthorized || !exchange.CanBodyBeSentAgain)
        {
            _ = RenewForNextRequestAsync(exchange.Account, rejected);
            Log.PassedThrough(_logger, exchange.Account.Name, exchange.Settings.RetryOnUnauthorized
                ? "the request's body cannot be sent again; the next request has a new token"
                : "RetryOnUnauthorized is off; the next request has a new token");
            return null;
        }

        try
        {
            SparkflyToken renewed = exchange.IsAsync
                ? await tokens.RenewTokenAsync(rejected, cancellationToken).ConfigureAwait(false)
                : Block(tokens, rejected, cancellationToken);
            if (!exchange.Account.Settings.TakesToken(exchange.Uri))
            {
                Log.PassedThrough(_logger, exchange.Account.Name, "the account's BaseAddress has changed in between");
                return null;
            }

            if (ReferenceEquals(renewed, rejected))
            {
                Log.PassedThrough(_logger, exchange.Account.Name, "a 401 has forced a renewal within UnauthorizedRefreshInterval");
                return null;
            }

            Log.Replayed(_logger, exchange.Account.Name);
            return renewed;
        }
        catch
        {
            // Nobody else will: the caller gets the exception instead.
            response.Dispose();
            throw;
        }
    }

    // Without waiting: the caller has its 401. The provider sees to it that the next request waits for the new token.
    private async Task RenewForNextRequestAsync(SparkflyAccount account, SparkflyToken rejected)
    {
        try
        {
            await account.Tokens.RenewTokenAsync(rejected, CancellationToken.None).ConfigureAwait(false);
        }
#pragma warning disable CA1031 // Nobody waits for it; whoever asks for the token next is told.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Log.RenewalForNextRequestFailed(_logger, account.Name, exception.Message);
        }
    }

    /// <summary>To another origin, or to the auth endpoint: without a token, but with the redirects that were the primary handler's.</summary>
    private async Task<HttpResponseMessage> SendForeignAsync(
        HttpRequestMessage request,
        SparkflyAccount account,
        AccountSettings settings,
        RedirectPolicy redirects,
        bool isNamed,
        bool isAsync,
        CancellationToken cancellationToken)
    {
        ReportForeign(request, account, settings, isNamed);
        var exchange = new Exchange(request, account, settings, redirects, hasToken: false, isAsync);
        try
        {
            HttpResponseMessage response = await SendInnerAsync(exchange, cancellationToken).ConfigureAwait(false);
            return await FollowRedirectsAsync(exchange, response, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            if (RequestOptionsPeek.Of(exchange.Request) is { } options)
            {
                // An outer handler may send the message home next, where the header is ours.
                options.Remove(OriginGuardHandler.HasCallersOwnToken.Key);
            }

            exchange.End();
        }
    }

    /// <summary>In the primary handler's place. The token stays at home, and off for good once the chain has left it.</summary>
    private async Task<HttpResponseMessage> FollowRedirectsAsync(Exchange exchange, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        HttpRequestMessage request = exchange.Request;
        for (int hop = 0; hop < exchange.Redirects.MaxRedirections; hop++)
        {
            Uri asked = exchange.SentTo(response);
            bool losesBody = request.Content is null || Redirects.BecomesGet(response.StatusCode, request.Method);
            if (Redirects.Target(asked, response) is not { } target || !(losesBody || exchange.CanBodyBeSentAgain))
            {
                break;
            }

            HttpStatusCode status = response.StatusCode;
            response.Dispose();
            Redirects.Apply(request, status, target);
            if (exchange.HasToken && !(exchange.Settings.Origin.Matches(asked) && exchange.Settings.Origin.Matches(target)))
            {
                request.Headers.Remove(HeaderText.Token);
            }

            Redirects.IsFollowing = true;
            response = await SendInnerAsync(exchange, cancellationToken).ConfigureAwait(false);
        }

        return response;
    }

    private Task<HttpResponseMessage> SendInnerAsync(Exchange exchange, CancellationToken cancellationToken) => exchange.IsAsync
        ? base.SendAsync(exchange.Request, cancellationToken)
        : Task.FromResult(base.Send(exchange.Request, cancellationToken));

    /// <summary>Whether the API itself has rejected the token: the answer is a 401 of the account's origin, to a message that had it.</summary>
    private static bool WasRejected(in Exchange exchange, HttpResponseMessage response) =>
        response.StatusCode == HttpStatusCode.Unauthorized &&
        exchange.SentWithToken(response) &&
        exchange.Settings.Origin.Matches(exchange.SentTo(response));

    // The guard takes the token off whatever leaves for elsewhere; where it is still on, a handler below the guard has gone there by itself.
    private void NoteLeak(in Exchange exchange, HttpResponseMessage response)
    {
        if (exchange.SentWithToken(response) && !exchange.Settings.Origin.Matches(exchange.SentTo(response)))
        {
            exchange.Redirects.Break();
            Log.PrimaryHandlerFollowedRedirect(_logger, PrimaryHandlers.Innermost(this).GetType().ToString());
        }
    }

    private void Attach(in Exchange exchange, SparkflyToken token)
    {
        if (exchange.Redirects.IsBroken)
        {
            throw new InvalidOperationException(
                $"The primary handler of this Sparkfly client ({PrimaryHandlers.Innermost(this).GetType()}) has followed a redirect to " +
                "another origin and taken the token along, so no further token is given to it. Turn its redirects off; they are followed for it.");
        }

        exchange.Account.LetGoHome(token);
        HttpRequestHeaders headers = exchange.Request.Headers;
        headers.Remove(HeaderText.Token);
        headers.TryAddWithoutValidation(HeaderText.Token, token.Value);
    }

    private static void Detach(in Exchange exchange, HttpResponseMessage? response)
    {
        exchange.Request.Headers.Remove(HeaderText.Token);
        if (response?.RequestMessage is { } sent && !ReferenceEquals(sent, exchange.Request))
        {
            // A handler in between has sent a copy.
            sent.Headers.Remove(HeaderText.Token);
        }

        exchange.End();
    }

    /// <exception cref="InvalidOperationException">The request names an account that is not registered.</exception>
    private SparkflyAccount AccountOf(HttpRequestMessage request, out bool isNamed)
    {
        if (RequestOptionsPeek.Of(request) is not { } options ||
            !options.TryGetValue(SparkflyRequestOptions.Account.Key, out object? value) ||
            value is null)
        {
            isNamed = false;
            return _account;
        }

        isNamed = true;
        return value is string name
            ? _accounts.Get(name)
            : throw new InvalidOperationException(
                $"The request option \"{SparkflyRequestOptions.Account.Key}\" is a {value.GetType().Name}; an account's name is a string.");
    }

    private void ReportForeign(HttpRequestMessage request, SparkflyAccount account, AccountSettings settings, bool isNamed)
    {
        if (request.RequestUri is not { IsAbsoluteUri: true } uri || settings.Origin.Matches(uri))
        {
            return;
        }

        if (isNamed)
        {
            throw new InvalidOperationException(
                $"The request to {Origin.Of(uri)} names the Sparkfly account '{account.Name}', whose BaseAddress is at {settings.Origin}: " +
                "it would leave without a token. Use a client of that account, or an absolute address under its BaseAddress.");
        }

        if (request.Headers.NonValidated.Contains(HeaderText.Token))
        {
            request.Options.Set(OriginGuardHandler.HasCallersOwnToken, true);
        }

        if (uri.IdnHost.EndsWith(".sparkfly.com", StringComparison.OrdinalIgnoreCase) && account.TakeWarningOfSparkflyHost())
        {
            Log.OtherSparkflyOrigin(_logger, Origin.Of(uri), account.Name, settings.Origin);
        }
        else if (_logger.IsEnabled(LogLevel.Debug))
        {
            Log.ForeignOrigin(_logger, Origin.Of(uri), account.Name, settings.Origin);
        }
    }

    /// <exception cref="InvalidOperationException">The primary handler has been used already, and cannot be changed any more.</exception>
    private RedirectPolicy SecurePipeline()
    {
        lock (_securing)
        {
            return _redirects ??= PrimaryHandlers.SecureForApi(
                this, new OriginGuardHandler([HeaderText.Token], uri => _account.Settings.Origin.Matches(uri), _logger));
        }
    }

    // Without the caller's synchronization context: a provider of the application's own may come back to it, and it is blocked here.
    private static SparkflyToken Block(ISparkflyTokenProvider tokens, SparkflyToken? rejected, CancellationToken cancellationToken)
    {
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            ValueTask<SparkflyToken> token = rejected is null
                ? tokens.GetTokenAsync(cancellationToken)
                : tokens.RenewTokenAsync(rejected, cancellationToken);
            return token.IsCompletedSuccessfully ? token.Result : token.AsTask().GetAwaiter().GetResult();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }
}
