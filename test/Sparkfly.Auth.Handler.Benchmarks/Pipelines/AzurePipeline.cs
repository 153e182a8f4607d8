using Azure.Core;
using Azure.Core.Pipeline;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>
/// The pipeline of Azure's client libraries over the same primary handler, bare or with their <see cref="BearerTokenAuthenticationPolicy"/>:
/// another much used implementation of a cached, renewed token. Its transport is its own, so it is compared with its own bare pipeline.
/// </summary>
internal sealed class AzurePipeline
{
    private readonly HttpPipeline _pipeline;
    private readonly AnsweringHandler _api;

    public AzurePipeline(bool isAuthenticated, AnsweringHandler api)
    {
        _api = api;
        HttpPipelinePolicy[] policies = isAuthenticated ? [new BearerTokenAuthenticationPolicy(new FixedCredential(), "scope")] : [];
        _pipeline = new HttpPipeline(new HttpClientTransport(api), policies);
    }

    /// <summary>Sends one request, and gives the answer where it is an asynchronous one.</summary>
    public int Send(Uri address)
    {
        using HttpMessage message = _pipeline.CreateMessage();
        message.Request.Method = RequestMethod.Get;
        message.Request.Uri.Reset(address);
        Task sending = _pipeline.SendAsync(message, CancellationToken.None).AsTask();
        _api.Complete();
        sending.GetAwaiter().GetResult();
        return message.Response.Status;
    }

    private sealed class FixedCredential : TokenCredential
    {
        private readonly AccessToken _token = new(new string('a', 64), DateTimeOffset.UtcNow.AddDays(1));

        public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) => _token;

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) => new(_token);
    }
}
