using System.Diagnostics;
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
/// Before its first request it makes its pipeline safe for the token: it turns the primary handler's redirects and cookies off, and puts a guard
/// at the innermost place, which lets the token leave for Sparkfly only, follows redirects in the primary handler's place, and keeps the cookies
/// of other hosts. A primary handler of another type than <see cref="SocketsHttpHandler"/> or <see cref="HttpClientHandler"/> must not follow
/// redirects by itself.
/// </para>
/// </remarks>
[DebuggerDisplay("Sparkfly account '{_accountName,nq}'")]
public sealed class SparkflyAuthHandler : DelegatingHandler
{
    // Null where it is to be asked for: see ISparkflyAccountSource.
    private readonly SparkflyAccount? _account;
    private readonly string _accountName;
    private readonly SparkflyAccounts _accounts;
    private readonly SparkflyMetrics _metrics;
    private readonly ILogger _logger;

    // Set once, before the first request, under the lock.
    private readonly Lock _securing = new();
    private volatile PrimaryHandlerPolicy? _primary;

    internal SparkflyAuthHandler(string account, SparkflyAccounts accounts, SparkflyMetrics metrics, ILogger logger)
    {
        _account = accounts.MayBeOfSource(account) ? null : accounts.Get(account);
        _accountName = account;
        _accounts = accounts;
        _metrics = metrics;
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
        SecurePipeline();
        string? named = AccountNamedBy(request);
        return AccountAtHand(named) is { } account
            ? SendForAsync(request, account, named is not null, cancellationToken)
            : SendWhenFoundAsync(request, named, cancellationToken);
    }

    private Task<HttpResponseMessage> SendForAsync(
        HttpRequestMessage request, SparkflyAccount account, bool isNamed, CancellationToken cancellationToken)
    {
        AccountSettings settings = account.Settings;
        if (!settings.TakesToken(request.RequestUri))
        {
            ReportForeign(request, account, settings, isNamed);
            return base.SendAsync(request, cancellationToken);
        }

        // The settings are looked at again: a token of changed ones may be meant for another origin.
        ValueTask<SparkflyToken> token = account.Tokens.GetTokenAsync(cancellationToken);
        return token.IsCompletedSuccessfully && ReferenceEquals(settings, account.Settings)
            ? SendOwnAsync(new Exchange(request, account, settings, isAsync: true), token.Result, cancellationToken)
            : SendColdAsync(request, account, settings, isNamed, token, cancellationToken);
    }

    /// <inheritdoc/>
    /// <exception cref="SparkflyAuthenticationException">There is no token for the request, which was not sent.</exception>
    /// <exception cref="InvalidOperationException">
    /// The request names an account that is not registered, or one of another origin; or the primary handler cannot be made safe.
    /// </exception>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        SecurePipeline();
        string? named = AccountNamedBy(request);
        SparkflyAccount account = AccountAtHand(named) ?? _accounts.FindAsync(named ?? _accountName, cancellationToken).GetAwaiter().GetResult();
        while (true)
        {
            AccountSettings settings = account.Settings;
            if (!settings.TakesToken(request.RequestUri))
            {
                ReportForeign(request, account, settings, named is not null);
                return base.Send(request, cancellationToken);
            }

            SparkflyToken token = Block(account.Tokens, null, cancellationToken);
            if (ReferenceEquals(settings, account.Settings))
            {
                // From here on as above; with isAsync: false nothing is awaited that is not complete already.
                var exchange = new Exchange(request, account, settings, isAsync: false);
                return SendOwnAsync(exchange, token, cancellationToken).GetAwaiter().GetResult();
            }
        }
    }

    private async Task<HttpResponseMessage> SendWhenFoundAsync(
        HttpRequestMessage request, string? named, CancellationToken cancellationToken)
    {
        SparkflyAccount account = await _accounts.FindAsync(named ?? _accountName, cancellationToken).ConfigureAwait(false);
        return await SendForAsync(request, account, named is not null, cancellationToken).ConfigureAwait(false);
    }

    private async Task<HttpResponseMessage> SendColdAsync(
        HttpRequestMessage request,
        SparkflyAccount account,
        AccountSettings settings,
        bool isNamed,
        ValueTask<SparkflyToken> token,
        CancellationToken cancellationToken)
    {
        while (true)
        {
            SparkflyToken obtained = await token.ConfigureAwait(false);
            if (ReferenceEquals(settings, account.Settings))
            {
                var exchange = new Exchange(request, account, settings, isAsync: true);
                return await SendOwnAsync(exchange, obtained, cancellationToken).ConfigureAwait(false);
            }

            settings = account.Settings;
            if (!settings.TakesToken(request.RequestUri))
            {
                ReportForeign(request, account, settings, isNamed);
                return await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            }

            token = account.Tokens.GetTokenAsync(cancellationToken);
        }
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

    /// <summary>What is rare: a 401, or an answer to another message than was sent, since a redirect was followed.</summary>
    private async Task<HttpResponseMessage> FollowUpAsync(
        Exchange exchange, SparkflyToken token, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        NoteLeak(exchange, response);

        // Once; in a fleet once more, where what another instance had obtained is rejected too.
        for (int sends = 1; WasRejected(exchange, response) && (sends == 1 || (sends == 2 && token.IsShared)); sends++)
        {
            SparkflyToken? renewed = await RenewAsync(exchange, token, response, cancellationToken).ConfigureAwait(false);
            if (renewed is null)
            {
                break;
            }

            // Let go first: one connection is enough.
            response.Dispose();
            exchange.PutBodyInPlace();
            Attach(exchange, token = renewed);
            response = await SendInnerAsync(exchange, cancellationToken).ConfigureAwait(false);
            NoteLeak(exchange, response);
        }

        if (response.StatusCode == HttpStatusCode.Unauthorized && exchange.WasSentHome(response))
        {
            _metrics.PassedThrough();
        }

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
            if (!exchange.Account.Settings.TakesToken(exchange.Request.RequestUri))
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
            _metrics.Replayed();
            return renewed;
        }
        catch
        {
            // Nobody else will: the caller gets the exception instead.
            response.Dispose();
            _metrics.PassedThrough();
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
        catch (Exception exception)
        {
            // Nobody waits for it; whoever asks for the token next is told.
            Log.RenewalForNextRequestFailed(_logger, account.Name, exception.Message);
        }
    }

    private Task<HttpResponseMessage> SendInnerAsync(Exchange exchange, CancellationToken cancellationToken) => exchange.IsAsync
        ? base.SendAsync(exchange.Request, cancellationToken)
        : Task.FromResult(base.Send(exchange.Request, cancellationToken));

    /// <summary>Whether the API itself has rejected the token: the answer is a 401 of the account's origin, to a message that had it.</summary>
    private static bool WasRejected(in Exchange exchange, HttpResponseMessage response) =>
        response.StatusCode == HttpStatusCode.Unauthorized && exchange.WasSentWithToken(response) && exchange.WasSentHome(response);

    // The guard takes the token off whatever leaves for elsewhere; where it is still on, a handler below the guard has gone there by itself.
    private void NoteLeak(in Exchange exchange, HttpResponseMessage response)
    {
        if (exchange.WasSentWithToken(response) && !exchange.WasSentHome(response))
        {
            _primary!.Break();
            Log.PrimaryHandlerFollowedRedirect(_logger, PrimaryHandlers.Innermost(this).GetType().ToString());
        }
    }

    private void Attach(in Exchange exchange, SparkflyToken? token)
    {
        if (_primary!.IsBroken)
        {
            throw new InvalidOperationException(
                $"The primary handler of this Sparkfly client ({PrimaryHandlers.Innermost(this).GetType()}) has followed a redirect to " +
                "another origin and taken the token along, so no further token is given to it. Turn its redirects off; they are followed for it.");
        }

        if (token is null)
        {
            // Of an application's own, or a test's: a mock that was not told what to return, for one.
            throw new InvalidOperationException($"The {exchange.Account.Tokens.GetType()} in place as {nameof(ISparkflyTokenProvider)} gave no token.");
        }

        exchange.Account.Allow(token, exchange.Settings.Origin);
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

    /// <summary>The account for the request, where it need not be asked for.</summary>
    /// <exception cref="InvalidOperationException">The request names an account that is not registered.</exception>
    private SparkflyAccount? AccountAtHand(string? named) => named is null && _account is not null ? _account : _accounts.At(named ?? _accountName);

    /// <summary>The name of the account that this one request is for; null where that is the handler's own.</summary>
    private static string? AccountNamedBy(HttpRequestMessage request)
    {
        if (RequestOptionsPeek.Of(request) is not { } options ||
            !options.TryGetValue(SparkflyRequestOptions.Account.Key, out object? value) ||
            value is null)
        {
            return null;
        }

        return value is string name
            ? name
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
    private void SecurePipeline()
    {
        if (_primary is null)
        {
            lock (_securing)
            {
                _primary ??= PrimaryHandlers.SecureForApi(this, new OriginGuardHandler(_logger));
            }
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
