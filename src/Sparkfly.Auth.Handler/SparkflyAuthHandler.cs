using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Attaches the account's token to every request to Sparkfly, and to no other. When the API answers 401, renews the token and sends the request
/// again, once.
/// </summary>
/// <remarks>
/// <para>
/// Registered by <c>AddSparkflyAuth</c> as a transient service for the default account, and added to a client by
/// <c>AddSparkflyAuthHandler</c> or <c>AddHttpMessageHandler&lt;SparkflyAuthHandler&gt;()</c>. Thread-safe.
/// </para>
/// <para>
/// In a pipeline of <see cref="IHttpClientFactory"/> it stands directly above the primary handler, wherever it was added: below retries, hedging,
/// logging and every other handler, none of which sees the token. Elsewhere it stands where it was put, and everything below it is the network.
/// </para>
/// <para>
/// Before its first request it turns the primary handler's redirects and cookies off, follows redirects in its place, and keeps the cookies of other
/// hosts. A primary handler of another type than <see cref="SocketsHttpHandler"/> or <see cref="HttpClientHandler"/> must not follow redirects itself.
/// </para>
/// </remarks>
[DebuggerDisplay("Sparkfly account '{_accountName,nq}'")]
public sealed class SparkflyAuthHandler : DelegatingHandler, IInnermostHandler
{
    private readonly string _accountName;
    private readonly PrimaryHandlers _primaries;
    private readonly SparkflyMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    // Set once, before the first request. There is no account where an ISparkflyAccountSource has to be asked for it.
    private volatile SparkflyAccount? _account;
    private volatile PrimaryHandlerPolicy? _primary;

    // Made when the first request names an account: to read one takes time in each request.
    private AsyncLocal<SparkflyAccount?>? _namedAccount;

    internal SparkflyAuthHandler(
        string account, SparkflyAccounts accounts, PrimaryHandlers primaries, SparkflyMetrics metrics, TimeProvider time, ILogger logger)
    {
        _accountName = account;
        Accounts = accounts;
        _primaries = primaries;
        _metrics = metrics;
        _time = time;
        _logger = logger;
    }

    internal SparkflyAccounts Accounts { get; }

    /// <summary>The client whose pipeline this is in; null where <see cref="IHttpClientFactory"/> has not built it.</summary>
    internal string? Client { get; set; }

    /// <summary>The account that the request names which is being sent in this flow. <see cref="RequestAccountHandler"/> sets it for the whole call.</summary>
    internal SparkflyAccount? NamedAccount
    {
        get => _namedAccount?.Value;
        set
        {
            if (_namedAccount is null)
            {
                Interlocked.CompareExchange(ref _namedAccount, new AsyncLocal<SparkflyAccount?>(), null);
            }

            _namedAccount.Value = value;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="SparkflyAuthenticationException">There is no token for the request, which was not sent.</exception>
    /// <exception cref="InvalidOperationException">
    /// The request names an account that is not registered, or one of another origin; its <c>Host</c> header names another host; or the primary
    /// handler cannot be made safe.
    /// </exception>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        SendAsync(request, isAsync: true, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="SparkflyAuthenticationException">There is no token for the request, which was not sent.</exception>
    /// <exception cref="InvalidOperationException">
    /// The request names an account that is not registered, or one of another origin; its <c>Host</c> header names another host; or the primary
    /// handler cannot be made safe.
    /// </exception>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        using NoSynchronizationContext none = NoSynchronizationContext.Enter();
        return SendAsync(request, isAsync: false, cancellationToken).GetAwaiter().GetResult();
    }

    Task<HttpResponseMessage> IInnermostHandler.SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        SendAsync(request, cancellationToken);

    HttpResponseMessage IInnermostHandler.Send(HttpRequestMessage request, CancellationToken cancellationToken) => Send(request, cancellationToken);

    /// <summary>The common case, which allocates nothing: the handler's own account, a token at hand, a response that is there at once.</summary>
    private Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, bool isAsync, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        PrimaryHandlerPolicy primary = _primary ??= _primaries.ForApi(this);
        if ((_account ?? FindAccount()) is not { } account || NamedAccount is not null || RequestAccountHandler.NameIn(request) is not null)
        {
            return SendNamedAsync(request, isAsync, cancellationToken);
        }

        AccountSettings settings = account.Settings;
        if (!TakesToken(request, settings))
        {
            return SendWithoutTokenAsync(request, account, isAsync, cancellationToken);
        }

        // The settings are looked at again: a token of changed ones may be meant for another origin.
        ValueTask<SparkflyToken> asked = account.Tokens.GetTokenAsync(cancellationToken);
        if (!asked.IsCompletedSuccessfully || !ReferenceEquals(settings, account.Settings))
        {
            return SendUntilFinalAsync(request, account, new AskedToken(asked.AsTask(), settings), null, isAsync, cancellationToken);
        }

        SparkflyToken token = Given(asked.Result, account);
        Uri address = request.RequestUri!;
        int headers = Attach(request, account, token);
        Task<HttpResponseMessage> sending;
        bool isThere;
        try
        {
            sending = isAsync ? base.SendAsync(request, cancellationToken) : Task.FromResult(base.Send(request, cancellationToken));
            isThere = sending.IsCompletedSuccessfully;
        }
        catch (Exception exception)
        {
            Detach(request, address, headers, null);
            ReplayableBody.Restore(request);
            ThrowIfShown(token, exception);
            throw;
        }

        if (!isThere)
        {
            return FinishAsync(request, token, address, headers, sending, cancellationToken);
        }

        bool isFinal = IsFinal(sending.Result);
        Detach(request, address, headers, sending.Result);
        if (isFinal)
        {
            ReplayableBody.Restore(request);
            return sending;
        }

        return SendUntilFinalAsync(request, account, null, new Sent(token, address, sending.Result), isAsync, cancellationToken);
    }

    /// <summary>The handler's own account; null where a source has to be asked for it.</summary>
    private SparkflyAccount? FindAccount()
    {
        if (Accounts.IsBeingRead(_accountName))
        {
            // For this request alone: what configures the account sends it, and it cannot be a request of the account.
            return Accounts.None;
        }

        return _account = Accounts.GetRegistered(_accountName) ?? (_accountName.Length == 0 ? Accounts.None : null);
    }

    /// <summary>The common case where the response comes later. Its state machine is what a request costs, so it holds no more than it must.</summary>
    private async Task<HttpResponseMessage> FinishAsync(
        HttpRequestMessage request, SparkflyToken token, Uri address, int headers, Task<HttpResponseMessage> sending, CancellationToken cancellationToken)
    {
        HttpResponseMessage response;
        try
        {
            response = await sending.ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            Detach(request, address, headers, null);
            ReplayableBody.Restore(request);
            ThrowIfShown(token, exception);
            throw;
        }

        bool isFinal = IsFinal(response);
        Detach(request, address, headers, response);
        if (isFinal)
        {
            ReplayableBody.Restore(request);
            return response;
        }

        return await SendUntilFinalAsync(request, _account!, null, new Sent(token, address, response), isAsync: true, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>For a request that names its account, or whose account an <see cref="ISparkflyAccountSource"/> is asked for.</summary>
    private async Task<HttpResponseMessage> SendNamedAsync(HttpRequestMessage request, bool isAsync, CancellationToken cancellationToken)
    {
        string? name = RequestAccountHandler.NameIn(request);
        SparkflyAccount? account = NamedAccount;
        if (name is not null && name != account?.Name)
        {
            account = await Accounts.GetAsync(name, cancellationToken).OrBlock(isAsync).ConfigureAwait(false);
            if (Client is null)
            {
                // No handler of ours stands above this one. Elsewhere a handler in between has named the account.
                RequestAccountHandler.CheckOrigin(request, account);
            }
        }

        account ??= _account ?? await Accounts.GetAsync(_accountName, cancellationToken).OrBlock(isAsync).ConfigureAwait(false);
        return await SendUntilFinalAsync(request, account, null, null, isAsync, cancellationToken).ConfigureAwait(false);
    }

    private Task<HttpResponseMessage> SendWithoutTokenAsync(
        HttpRequestMessage request, SparkflyAccount account, bool isAsync, CancellationToken cancellationToken)
    {
        if (_primary is { MaxRedirections: 0, Cookies: null })
        {
            // Nothing was taken from the primary handler, so there is nothing to do in its place.
            ReportForeign(request, account, null);
            return isAsync ? base.SendAsync(request, cancellationToken) : Task.FromResult(base.Send(request, cancellationToken));
        }

        return SendUntilFinalAsync(request, account, null, null, isAsync, cancellationToken);
    }

    /// <summary>Sends the message, follows redirects, and sends it again with a new token after a 401, until the response is the caller's.</summary>
    /// <param name="request">The message. One object is sent all the time, as the platform does.</param>
    /// <param name="account">The account that the request is for.</param>
    /// <param name="asked">The token for the first send, where it has been asked for already.</param>
    /// <param name="sent">The first send, where it has been made already.</param>
    /// <param name="isAsync">Whether to await, or to block.</param>
    /// <param name="cancellationToken">Ends the call.</param>
    private async Task<HttpResponseMessage> SendUntilFinalAsync(
        HttpRequestMessage request, SparkflyAccount account, AskedToken? asked, Sent? sent, bool isAsync, CancellationToken cancellationToken)
    {
        bool hasLeftOrigin = false;
        int redirects = 0;
        int renewals = 0;
        SparkflyToken? known = null;
        try
        {
            while (true)
            {
                Sent last = sent ?? await SendOnceAsync(request, account, asked, hasLeftOrigin, redirects > 0, known, isAsync, cancellationToken).ConfigureAwait(false);
                known = last.Token ?? known;
                if (last.Response is not { } response)
                {
                    return null!;
                }

                sent = null;
                asked = null;
                if (last.IsRejected(request))
                {
                    // Once; in a fleet once more, where the token that another instance had obtained is rejected too.
                    asked = renewals == 0 || (renewals == 1 && last.Token!.IsShared)
                        ? await RenewAsync(request, account, last, isAsync, cancellationToken).ConfigureAwait(false)
                        : null;
                    if (asked is null)
                    {
                        _metrics.PassedThrough();
                        return response;
                    }

                    renewals++;
                    UnauthorizedResponse.Discard(response);
                }
                else if (redirects < _primary!.MaxRedirections && NextHop(request, account, response) is { } target)
                {
                    // Not even where the chain comes back: then another host has asked for it.
                    hasLeftOrigin |= !new Origin(request.RequestUri!).Matches(target);
                    redirects++;
                    response.Dispose();
                    Redirects.Apply(request, response.StatusCode, target);
                }
                else
                {
                    return response;
                }

                TraceHeaders.RemoveForNextSend(request, _primary!.TraceFields, isRedirect: asked is null);
            }
        }
        finally
        {
            ReplayableBody.Restore(request);
        }
    }

    private async Task<Sent> SendOnceAsync(
        HttpRequestMessage request,
        SparkflyAccount account,
        AskedToken? asked,
        bool hasLeftOrigin,
        bool isRedirected,
        SparkflyToken? known,
        bool isAsync,
        CancellationToken cancellationToken)
    {
        PrimaryHandlerPolicy primary = _primary!;
        SparkflyToken? token = hasLeftOrigin ? null : await GetTokenAsync(request, account, asked, isAsync, cancellationToken).ConfigureAwait(false);
        bool isElsewhere = token is null && request.RequestUri is { IsAbsoluteUri: true } && !account.Settings.Origin.Matches(request.RequestUri);
        if (isElsewhere)
        {
            ReportForeign(request, account, known);
        }

        // Sparkfly's are kept nowhere, be it a token request of the caller's own to another account.
        CookieContainer? cookies = isElsewhere && !request.Headers.NonValidated.Contains(HeaderText.Key) ? primary.Cookies : null;
        string? ownCookies = cookies is null ? null : Cookies.Add(request, cookies);
        Uri address = request.RequestUri!;
        int headers = Attach(request, account, token);
        if (primary.FirstHopCredentials is { } credentials)
        {
            credentials.IsRedirected = isRedirected;
        }

        HttpResponseMessage? response = null;
        try
        {
            response = isAsync ? await base.SendAsync(request, cancellationToken).ConfigureAwait(false) : base.Send(request, cancellationToken);
            return new Sent(token, address, response);
        }
        catch (Exception exception) when (token is not null)
        {
            ThrowIfShown(token, exception);
            throw;
        }
        finally
        {
            Detach(request, address, headers, response, token is not null);
            if (cookies is not null)
            {
                Cookies.Restore(request, ownCookies);
                if (response is not null)
                {
                    Cookies.Keep(response, address, cookies);
                }
            }
        }
    }

    /// <summary>The token for the message where it goes now; null where it goes without one.</summary>
    private async ValueTask<SparkflyToken?> GetTokenAsync(
        HttpRequestMessage request, SparkflyAccount account, AskedToken? asked, bool isAsync, CancellationToken cancellationToken)
    {
        if (asked is { } already)
        {
            SparkflyToken token = await new ValueTask<SparkflyToken>(already.Token).OrBlock(isAsync).ConfigureAwait(false);
            if (ReferenceEquals(already.Settings, account.Settings))
            {
                return Given(token, account);
            }
        }

        while (true)
        {
            AccountSettings settings = account.Settings;
            if (!TakesToken(request, settings))
            {
                return null;
            }

            SparkflyToken token = await account.Tokens.GetTokenAsync(cancellationToken).OrBlock(isAsync).ConfigureAwait(false);
            if (ReferenceEquals(settings, account.Settings))
            {
                return Given(token, account);
            }

            // The settings have changed meanwhile: a token of the old ones may be meant for another origin.
        }
    }

    // Of an application's own provider, or a test's: a mock that was not told what to return, for one.
    private static SparkflyToken Given(SparkflyToken? token, SparkflyAccount account) => token ??
        throw new InvalidOperationException($"The {account.Tokens.GetType()} in place as {nameof(ISparkflyTokenProvider)} gave no token.");

    /// <summary>What to send the message with again after a 401; null where the 401 goes to the caller.</summary>
    private async ValueTask<AskedToken?> RenewAsync(
        HttpRequestMessage request, SparkflyAccount account, Sent sent, bool isAsync, CancellationToken cancellationToken)
    {
        AccountSettings settings = account.Settings;
        SparkflyToken rejected = sent.Token!;
        if (WhyNotAgain(request, settings, sent) is { } reason)
        {
            _ = RenewForNextRequestAsync(account, rejected);
            Log.PassedThrough(_logger, account.ShownName, $"{reason}; the next request has a new token");
            return null;
        }

        HttpResponseMessage response = sent.Response!;
        Task<SparkflyToken>? renewal = null;
        try
        {
            renewal = account.Tokens.RenewTokenAsync(rejected, cancellationToken).AsTask();
            if (!renewal.IsCompleted)
            {
                // One connection must be enough, for the token request too.
                await new ValueTask<bool>(UnauthorizedResponse.FreeConnectionAsync(response, _time, cancellationToken)).OrBlock(isAsync).ConfigureAwait(false);
            }

            SparkflyToken renewed = await new ValueTask<SparkflyToken>(renewal).OrBlock(isAsync).ConfigureAwait(false);
            reason = !account.Settings.Origin.Matches(request.RequestUri) ? "the account's BaseAddress has changed in between"
                : ReferenceEquals(renewed, rejected) ? "a 401 has forced a renewal within UnauthorizedRefreshInterval"
                : null;
            if (reason is not null)
            {
                Log.PassedThrough(_logger, account.ShownName, reason);
                return null;
            }

            _ = Given(renewed, account);
            Log.Replayed(_logger, account.ShownName);
            _metrics.Replayed();
            return new AskedToken(Task.FromResult(renewed), settings);
        }
        catch
        {
            // The caller gets the exception in place of the response.
            renewal?.ObserveException();
            UnauthorizedResponse.Discard(response);
            _metrics.PassedThrough();
            throw;
        }
    }

    private static string? WhyNotAgain(HttpRequestMessage request, AccountSettings settings, Sent sent) =>
        !settings.RetryOnUnauthorized ? "RetryOnUnauthorized is off"
        : !sent.IsAnsweredAsSent(request) ? "it answers another message than the one that was sent, by the primary handler"
        : !ReplayableBody.TryReset(request) ? "the request's body cannot be sent again"
        : null;

    // Without waiting: the caller has its 401. The provider sees to it that the next request waits for the new token.
    private async Task RenewForNextRequestAsync(SparkflyAccount account, SparkflyToken rejected)
    {
        try
        {
            await account.Tokens.RenewTokenAsync(rejected, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            // The next caller that asks for a token is told.
            try
            {
                Log.RenewalForNextRequestFailed(_logger, account.ShownName, exception.Message);
            }
            catch (Exception)
            {
                // The application's logger threw, and no caller awaits this task.
            }
        }
    }

    /// <summary>Where a redirect leads; null where it is not followed.</summary>
    private Uri? NextHop(HttpRequestMessage request, SparkflyAccount account, HttpResponseMessage response)
    {
        Uri from = request.RequestUri!;
        if (Redirects.Target(from, response) is not { } target)
        {
            return null;
        }

        // A generated client has a method for the token request, and the key is on it.
        bool isTokenRequest = (account.Settings.Origin.Matches(from) && account.Settings.IsAuthEndpoint(from)) || request.Headers.NonValidated.Contains(HeaderText.Key);
        bool wouldAuthenticate = _primary!.HasDefaultCredentials && !new Origin(from).Matches(target);
        bool hasBody = request.Content is not null && !Redirects.BecomesGet(response.StatusCode, request.Method);
        return isTokenRequest || wouldAuthenticate || (hasBody && !ReplayableBody.TryReset(request)) ? null : target;
    }

    /// <summary>Whether the message is sent with the account's token.</summary>
    /// <exception cref="InvalidOperationException">It must not be sent to Sparkfly at all.</exception>
    private bool TakesToken(HttpRequestMessage request, AccountSettings settings)
    {
        Uri? uri = request.RequestUri;
        if (!settings.Origin.Matches(uri))
        {
            return false;
        }

        PrimaryHandlerPolicy primary = _primary!;
        if (primary.Problem is { } problem)
        {
            throw new InvalidOperationException(problem.Message, problem);
        }

        if (_primaries.IsRefused(primary, Client))
        {
            throw new InvalidOperationException(
                $"The primary handler of this Sparkfly client ({PrimaryHandlers.Innermost(this).GetType()}) has followed a redirect to " +
                "another origin and taken the token along, so no further token is given to it. Turn its redirects off; they are followed for it.");
        }

        settings.Origin.CheckHostHeader(request);
        return !settings.IsAuthEndpoint(uri!);
    }

    /// <summary>Puts on the message what only the network may see, and a body that can be sent again.</summary>
    /// <returns>How many headers the message has now.</returns>
    private static int Attach(HttpRequestMessage request, SparkflyAccount account, SparkflyToken? token)
    {
        HttpContent? content = request.Content;
        if (content is not null && !ReplayableBody.IsIn(content))
        {
            if (token is not null)
            {
                request.Content = ReplayableBody.CanBeReadAgain(content) ? content : ReplayableBody.Of(content, account.Settings.MaxReplayBodySize);
            }
            else if (request.Headers.ExpectContinue == true)
            {
                // Elsewhere the platform's rules hold, and it can redirect a body of which it has read nothing.
                request.Content = ReplayableBody.IsOneWay(content) ? ReplayableBody.Of(content, 0) : content;
            }
        }

        HttpRequestHeaders headers = request.Headers;
        int count = headers.NonValidated.Count;
        if (token is not null)
        {
            headers.TryAddWithoutValidation(HeaderText.Token, token.Value);
            if (headers.NonValidated.Count == count)
            {
                // The caller's own was there.
                headers.Remove(HeaderText.Token);
                headers.TryAddWithoutValidation(HeaderText.Token, token.Value);
            }
        }

        return headers.NonValidated.Count;
    }

    /// <summary>Takes off what <see cref="Attach"/> and the platform have put on: a handler above may send the message again, or print it.</summary>
    private void Detach(HttpRequestMessage request, Uri address, int headers, HttpResponseMessage? response, bool hasToken = true)
    {
        PrimaryHandlerPolicy primary = _primary!;
        TraceHeaders.RemoveAdded(request, headers, primary.TraceFields);
        if (!hasToken)
        {
            return;
        }

        HttpRequestMessage answered = response?.RequestMessage ?? request;
        bool isOther = !ReferenceEquals(answered, request) || !ReferenceEquals(request.RequestUri, address);
        bool isTakenAlong = isOther && answered.Headers.NonValidated.Contains(HeaderText.Token) && !new Origin(address).Matches(answered.RequestUri);
        request.Headers.Remove(HeaderText.Token);
        if (isOther)
        {
            answered.Headers.Remove(HeaderText.Token);
        }

        if (isTakenAlong)
        {
            // Last: a logger may throw.
            _primaries.Refuse(primary, Client, this);
        }
    }

    /// <summary>Throws <see cref="InvalidResponse.WithoutText"/> in place of an exception that shows the token.</summary>
    private static void ThrowIfShown(SparkflyToken token, Exception exception)
    {
        if (exception is HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse } && SecretText.IsAnyIn(exception.ToString(), [token.Value]))
        {
            throw InvalidResponse.WithoutText();
        }
    }

    /// <summary>Whether the response goes to the caller as it is: no 401, and no redirect to follow.</summary>
    private bool IsFinal(HttpResponseMessage? response) =>
        response is null ||
        (response.StatusCode != HttpStatusCode.Unauthorized && (_primary!.MaxRedirections == 0 || !Redirects.IsRedirect(response.StatusCode)));

    private void ReportForeign(HttpRequestMessage request, SparkflyAccount account, SparkflyToken? known)
    {
        Origin home = account.Settings.Origin;
        if (request.RequestUri is not { IsAbsoluteUri: true } uri || home.Matches(uri))
        {
            return;
        }

        if (ReferenceEquals(account, Accounts.None))
        {
            if (Origin.IsSparkflys(uri) && account.TakeWarningOfSparkflyHost())
            {
                Log.NoAccount(_logger, Origin.Of(uri));
            }
        }
        else if (Origin.IsSparkflys(uri) && account.TakeWarningOfSparkflyHost())
        {
            Log.OtherSparkflyOrigin(_logger, Origin.Of(uri), account.ShownName, home);
        }
        else if (_logger.IsEnabled(LogLevel.Debug))
        {
            Log.ForeignOrigin(_logger, ShownOrigin(uri, known), account.ShownName, home);
        }
    }

    // The service knows the token, and chooses where a redirect leads.
    private static string ShownOrigin(Uri uri, SparkflyToken? known) =>
        Origin.Of(uri) is var origin && known is not null && SecretText.IsAnyIn(origin, [known.Value]) ? "an address that repeats the token" : origin;

    /// <summary>A token that has been asked for, and is of use while the settings are still these.</summary>
    private readonly record struct AskedToken(Task<SparkflyToken> Token, AccountSettings Settings);

    /// <summary>A send: with which token, to which address, and what came back.</summary>
    private readonly record struct Sent(SparkflyToken? Token, Uri Address, HttpResponseMessage? Response)
    {
        /// <summary>Whether the API has rejected the token: a 401, from the origin that it was sent to.</summary>
        public bool IsRejected(HttpRequestMessage request) =>
            Token is not null &&
            Response!.StatusCode == HttpStatusCode.Unauthorized &&
            new Origin(Address).Matches((Response.RequestMessage ?? request).RequestUri);

        /// <summary>Whether the response is to this message, and not to another one that the primary handler has made of it.</summary>
        public bool IsAnsweredAsSent(HttpRequestMessage request) =>
            Response!.RequestMessage is not { } answered ||
            ReferenceEquals(answered, request) ||
            (answered.Method == request.Method && answered.RequestUri == Address);
    }
}
