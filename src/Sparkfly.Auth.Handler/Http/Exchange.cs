using System.Diagnostics;
using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>One request on its way: the message as the caller gave it, and what is needed to send it a second time.</summary>
[DebuggerDisplay("{Uri}")]
internal readonly struct Exchange
{
    private readonly HttpMethod _method;
    private readonly HttpContent? _content;
    private readonly ReplayableContent? _kept;
    private readonly bool _isContentSafe;

    /// <summary>Takes note of the message, and puts a body in place that can be sent again. Ends with <see cref="End"/>.</summary>
    public Exchange(
        HttpRequestMessage request, SparkflyAccount account, AccountSettings settings, RedirectPolicy redirects, bool hasToken, bool isAsync)
    {
        Request = request;
        Account = account;
        Settings = settings;
        Redirects = redirects;
        IsAsync = isAsync;
        Uri = request.RequestUri;
        _method = request.Method;
        _content = request.Content;
        _isContentSafe = ReplayableContent.CanBeReadAgain(_content);
        HasToken = hasToken;
        if (!_isContentSafe && (HasToken || redirects.MaxRedirections > 0))
        {
            _kept = ReplayableContent.Of(_content!, settings.MaxReplayBodySize);
            request.Content = _kept ?? _content;
        }
    }

    // The debugger shows a message with its headers, and while this lasts the token is one of them.
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public HttpRequestMessage Request { get; }

    /// <summary>Where the caller sends it; redirects change the message's own.</summary>
    public Uri? Uri { get; }

    public SparkflyAccount Account { get; }

    public AccountSettings Settings { get; }

    public RedirectPolicy Redirects { get; }

    public bool IsAsync { get; }

    /// <summary>Whether the request is one of the account's, and leaves with its token.</summary>
    public bool HasToken { get; }

    /// <summary>Whether the body, once sent, can be sent again with the same bytes. To be asked after a send.</summary>
    public bool CanBodyBeSentAgain => _isContentSafe || _kept is { IsComplete: true };

    /// <summary>Whether the answer goes to the caller as it is: no 401, no redirect, and to this very message.</summary>
    public bool IsFinal(HttpResponseMessage response) =>
        response.StatusCode != HttpStatusCode.Unauthorized &&
        !Handler.Redirects.IsRedirect(response.StatusCode) &&
        (response.RequestMessage is null || ReferenceEquals(response.RequestMessage, Request)) &&
        ReferenceEquals(Request.RequestUri, Uri);

    /// <summary>The address that gave the answer.</summary>
    public Uri SentTo(HttpResponseMessage response) => response.RequestMessage?.RequestUri ?? Request.RequestUri!;

    /// <summary>Whether the message that was answered had a token on it when it left.</summary>
    public bool SentWithToken(HttpResponseMessage response) =>
        (response.RequestMessage ?? Request).Headers.NonValidated.Contains(HeaderText.Token);

    /// <summary>Makes the message what it was before redirects changed it.</summary>
    public void Restore()
    {
        Request.RequestUri = Uri;
        Request.Method = _method;
        Request.Content = _kept ?? _content;
    }

    /// <summary>Gives the caller its own body back.</summary>
    public void End()
    {
        if (_kept is not null && ReferenceEquals(Request.Content, _kept))
        {
            Request.Content = _content;
        }
    }
}
