namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>The least that a handler can do to authenticate a request: one header, whose value never changes.</summary>
internal sealed class ConstantHeaderHandler(string token) : DelegatingHandler
{
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        request.Headers.TryAddWithoutValidation("X-Auth-Token", token);
        return base.SendAsync(request, cancellationToken);
    }
}
