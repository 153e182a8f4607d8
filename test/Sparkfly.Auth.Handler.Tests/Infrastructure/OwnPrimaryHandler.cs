namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A primary handler of an application's own, made of one function. It sees each message as it leaves, token and all, and may send it over a network
/// that follows no redirects.
/// </summary>
internal sealed class OwnPrimaryHandler(
    Func<HttpRequestMessage, Func<HttpRequestMessage, Task<HttpResponseMessage>>, Task<HttpResponseMessage>> send) : HttpMessageHandler
{
    private readonly HttpMessageInvoker _network = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        send(request, next => _network.SendAsync(next, cancellationToken));

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
        send(request, next => Task.FromResult(_network.Send(next, cancellationToken))).GetAwaiter().GetResult();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _network.Dispose();
        }

        base.Dispose(disposing);
    }
}
