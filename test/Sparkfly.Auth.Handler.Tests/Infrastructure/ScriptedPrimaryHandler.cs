namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Stands in for the network: answers as it is told, and counts.</summary>
internal sealed class ScriptedPrimaryHandler(Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>> answer) : HttpMessageHandler
{
    private int _requests;

    public int Requests => Volatile.Read(ref _requests);

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        return answer(request, cancellationToken);
    }
}

/// <summary>Sends a request again while it is answered with 5xx or not at all, as a retry policy would but without a pause.</summary>
internal sealed class EagerRetryHandler(int attempts) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        for (int i = 1; i < attempts && (int)response.StatusCode >= 500; i++)
        {
            response.Dispose();
            response = await base.SendAsync(request, cancellationToken);
        }

        return response;
    }
}
