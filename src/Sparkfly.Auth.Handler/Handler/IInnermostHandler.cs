namespace Sparkfly.Auth.Handler;

/// <summary>A handler of ours directly above the network, for <see cref="SharedChainHandler"/>, which may not call a protected method of it.</summary>
internal interface IInnermostHandler
{
    Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken);

    HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken);
}
