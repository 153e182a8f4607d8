using System.Diagnostics;
using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>One request to Sparkfly on its way: the message, and what is needed to send it a second time.</summary>
[DebuggerDisplay("{Address}")]
internal readonly struct Exchange
{
    // What is sent: the caller's own body, or what stands in for it.
    private readonly HttpContent? _content;
    private readonly Body _body;

    /// <summary>Takes note of the message, and puts a body in place that can be sent again. Ends with <see cref="End"/>.</summary>
    public Exchange(HttpRequestMessage request, SparkflyAccount account, AccountSettings settings, bool isAsync)
    {
        Request = request;
        Account = account;
        Settings = settings;
        IsAsync = isAsync;
        Address = request.RequestUri;
        _content = request.Content;
        if (!ReplayableContent.CanBeReadAgain(_content))
        {
            ReplayableContent? kept = ReplayableContent.Of(_content!, settings.MaxReplayBodySize);
            _body = kept is null ? Body.OneWay : Body.Kept;
            _content = kept ?? _content;
            PutBodyInPlace();
        }
    }

    // Few fields: where the answer comes later they are copied to the heap.
    private enum Body : byte
    {
        CanBeReadAgain,
        Kept,
        OneWay,
    }

    // The debugger shows a message with its headers, and while this lasts the token is one of them.
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public HttpRequestMessage Request { get; }

    public SparkflyAccount Account { get; }

    public AccountSettings Settings { get; }

    public bool IsAsync { get; }

    /// <summary>Where the caller sends it; redirects change the message's own.</summary>
    public Uri? Address { get; }

    /// <summary>Whether the body, which was sent, can be sent again with the same bytes.</summary>
    public bool CanBodyBeSentAgain => Request.Content is null || _body switch
    {
        Body.CanBeReadAgain => true,
        Body.Kept => ((ReplayableContent)_content!).IsComplete,
        _ => false,
    };

    /// <summary>Whether the answer goes to the caller as it is: no 401, and to this very message as it was sent.</summary>
    public bool IsFinal(HttpResponseMessage response) =>
        response.StatusCode != HttpStatusCode.Unauthorized &&
        (response.RequestMessage is null || ReferenceEquals(response.RequestMessage, Request)) &&
        ReferenceEquals(Request.RequestUri, Address);

    /// <summary>
    /// Makes the body what it was before handlers in between have changed it; not where a redirect has left it out. The rest of the message stays
    /// that of the hop that was rejected: a POST that was redirected has been accepted, and must not be sent again.
    /// </summary>
    public void PutBodyInPlace()
    {
        if (Request.Content is not null)
        {
            Request.Content = _content;
        }
    }

    /// <summary>Gives the caller its own body back.</summary>
    public void End()
    {
        if (_body == Body.Kept && ReferenceEquals(Request.Content, _content))
        {
            Request.Content = ((ReplayableContent)_content!).Original;
        }
    }

    /// <summary>Whether the message that was answered had a token on it when it left.</summary>
    public bool WasSentWithToken(HttpResponseMessage response) => Answered(response).Headers.NonValidated.Contains(HeaderText.Token);

    /// <summary>Whether the account's own origin gave the answer.</summary>
    public bool WasSentHome(HttpResponseMessage response) => Settings.Origin.Matches(Answered(response).RequestUri ?? Request.RequestUri);

    // A handler in between may have sent a copy.
    private HttpRequestMessage Answered(HttpResponseMessage response) => response.RequestMessage ?? Request;
}
