namespace Sparkfly.Auth.Handler.Testing;

/// <summary>
/// Stands in the place of a client's primary handler, and gives what comes to the fake: no request reaches the handler that this one is derived
/// from, which opens a socket.
/// </summary>
/// <remarks>
/// Derived from <see cref="HttpClientHandler"/>, so that a pipeline takes it for what it stands for: redirects of the fake's answers are followed,
/// or not, as those of the real service are.
/// </remarks>
internal sealed class FakeSparkflyHandler(FakeService service, TimeProvider time) : HttpClientHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (service.HandlerElsewhere(request) is { } elsewhere)
        {
            return await elsewhere.SendAsync(request, cancellationToken).ConfigureAwait(false);
        }

        var body = new MemoryStream();
        if (request.Content is { } content)
        {
            // Copied as it is to a socket: to buffer it would make a body that can be read once readable again.
            await content.CopyToAsync(body, cancellationToken).ConfigureAwait(false);
        }

        return await service.AnswerAsync(request, body.ToArray(), time, cancellationToken).ConfigureAwait(false) is { } response
            ? Of(request, response)
            : await service.OtherHosts!.SendAsync(Again(request, body), cancellationToken).ConfigureAwait(false);
    }

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (service.HandlerElsewhere(request) is { } elsewhere)
        {
            return elsewhere.Send(request, cancellationToken);
        }

        var body = new MemoryStream();
        request.Content?.CopyTo(body, null, cancellationToken);

        return Blocking(() => service.AnswerAsync(request, body.ToArray(), time, cancellationToken)) is { } response
            ? Of(request, response)
            : service.OtherHosts!.Send(Again(request, body), cancellationToken);
    }

    /// <summary>Without the caller's context: an answer of the test's own may come back to it, and it is blocked here.</summary>
    private static HttpResponseMessage? Blocking(Func<Task<HttpResponseMessage?>> answer)
    {
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            return answer().GetAwaiter().GetResult();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    private static HttpResponseMessage Of(HttpRequestMessage request, HttpResponseMessage response)
    {
        response.RequestMessage = request;
        return response;
    }

    /// <summary>With a body that can be read, where an answer that left the request to others has looked at it.</summary>
    private static HttpRequestMessage Again(HttpRequestMessage request, MemoryStream body)
    {
        if (request.Content is { } read)
        {
            request.Content = new ByteArrayContent(body.ToArray());
            foreach (KeyValuePair<string, System.Net.Http.Headers.HeaderStringValues> header in read.Headers.NonValidated)
            {
                request.Content.Headers.TryAddWithoutValidation(header.Key, header.Value);
            }
        }

        return request;
    }
}
