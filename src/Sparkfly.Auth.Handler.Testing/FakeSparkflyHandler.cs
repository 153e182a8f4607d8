namespace Sparkfly.Auth.Handler.Testing;

/// <summary>
/// Stands in the place of a client's primary handler, and gives what comes to the fake: no request reaches the handler that this one is derived
/// from, which opens a socket.
/// </summary>
/// <remarks>
/// Derived from <see cref="HttpClientHandler"/>, so that a pipeline takes it for what it stands for: redirects of the fake's answers are followed,
/// or not, as those of the real service are.
/// </remarks>
internal sealed class FakeSparkflyHandler(FakeSparkfly sparkfly, TimeProvider time) : HttpClientHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (sparkfly.HandlerElsewhere(request) is { } elsewhere)
        {
            return await elsewhere.SendAsync(request, cancellationToken).ConfigureAwait(false);
        }

        var body = new MemoryStream();
        if (request.Content is { } content)
        {
            // Copied as it is to a socket: to buffer it would make a body that can be read once readable again.
            await content.CopyToAsync(body, cancellationToken).ConfigureAwait(false);
        }

        return await AnswerAsync(request, body, cancellationToken).ConfigureAwait(false);
    }

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (sparkfly.HandlerElsewhere(request) is { } elsewhere)
        {
            return elsewhere.Send(request, cancellationToken);
        }

        var body = new MemoryStream();
        request.Content?.CopyTo(body, null, cancellationToken);

        // Without the caller's context: an answer of the test's own may come back to it, and it is blocked here.
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            return AnswerAsync(request, body, cancellationToken).GetAwaiter().GetResult();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    private async Task<HttpResponseMessage> AnswerAsync(HttpRequestMessage request, MemoryStream body, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await sparkfly.AnswerAsync(request, body.ToArray(), time, cancellationToken).ConfigureAwait(false);
        response.RequestMessage = request;
        return response;
    }
}
