using System.Net;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A primary handler that is made of one function, and keeps what it was sent.</summary>
internal sealed class FakePrimary(Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
{
    private int _requests;

    public int Requests => Volatile.Read(ref _requests);

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        Task.FromResult(Send(request, cancellationToken));

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        HttpResponseMessage response = answer(request);
        response.RequestMessage ??= request;
        return response;
    }
}

/// <summary>A handler that is made of one function.</summary>
internal sealed class InlineHandler(Func<HttpRequestMessage, Func<HttpRequestMessage, Task<HttpResponseMessage>>, Task<HttpResponseMessage>> send)
    : DelegatingHandler
{
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        send(request, next => base.SendAsync(next, cancellationToken));

    // The task is complete when it is returned: the function awaits nothing else.
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
        send(request, next => Task.FromResult(base.Send(next, cancellationToken))).GetAwaiter().GetResult();
}

/// <summary>How a handler in between follows redirects by itself.</summary>
public enum Following
{
    /// <summary>With the same message.</summary>
    SameMessage,

    /// <summary>With a copy of the message last sent: method, address, headers.</summary>
    Copy,

    /// <summary>With a copy that has the options too, as Kiota's handler makes.</summary>
    CopyWithOptions,

    /// <summary>With a copy whose header values are new strings.</summary>
    CopyWithNewStrings,
}

/// <summary>A handler that follows redirects by itself, headers and all, as the default middleware of API generators does.</summary>
internal sealed class RedirectingHandler(Following following) : DelegatingHandler
{
    private const int MaxRedirections = 10;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        for (int i = 0; i < MaxRedirections && Next(response) is { } next; i++)
        {
            response = await base.SendAsync(next, cancellationToken);
        }

        return response;
    }

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = base.Send(request, cancellationToken);
        for (int i = 0; i < MaxRedirections && Next(response) is { } next; i++)
        {
            response = base.Send(next, cancellationToken);
        }

        return response;
    }

    private HttpRequestMessage? Next(HttpResponseMessage response)
    {
        if ((int)response.StatusCode is < 300 or >= 400 || response.Headers.Location is not { } location)
        {
            return null;
        }

        HttpRequestMessage sent = response.RequestMessage!;
        var target = new Uri(sent.RequestUri!, location);
        bool isSeeOther = response.StatusCode == HttpStatusCode.SeeOther;
        (HttpMethod method, HttpContent? content) = isSeeOther ? (HttpMethod.Get, null) : (sent.Method, sent.Content);
        response.Dispose();
        if (following == Following.SameMessage)
        {
            (sent.Method, sent.RequestUri, sent.Content) = (method, target, content);
            return sent;
        }

        var copy = new HttpRequestMessage(method, target) { Content = content };
        foreach ((string name, IEnumerable<string> values) in sent.Headers)
        {
            copy.Headers.TryAddWithoutValidation(
                name, following == Following.CopyWithNewStrings ? values.Select(static v => new string(v.AsSpan())) : values);
        }

        if (following == Following.CopyWithOptions)
        {
            foreach ((string key, object? value) in sent.Options)
            {
                ((IDictionary<string, object?>)copy.Options)[key] = value;
            }
        }

        return copy;
    }
}

/// <summary>A primary handler of a type that the package does not know, which follows redirects inside itself.</summary>
internal sealed class UnknownFollowingHandler : HttpMessageHandler
{
    private readonly HttpMessageInvoker _inner = new(new SocketsHttpHandler { UseCookies = true });
    private int _requests;

    public int Requests => Volatile.Read(ref _requests);

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        return _inner.SendAsync(request, cancellationToken);
    }

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        return _inner.Send(request, cancellationToken);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _inner.Dispose();
        }

        base.Dispose(disposing);
    }
}

/// <summary>A token provider of the application's own, which gives the same token for ever.</summary>
internal sealed class FixedTokens(string? value = null) : ISparkflyTokenProvider
{
    private readonly SparkflyToken _token = new(value ?? SecretSweep.NewSecret("token"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue);
    private int _renewals;

    public SparkflyToken Token => _token;

    public int Renewals => Volatile.Read(ref _renewals);

    public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) => new(_token);

    public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _renewals);
        return new(_token);
    }
}
