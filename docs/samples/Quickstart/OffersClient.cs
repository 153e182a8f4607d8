namespace Quickstart;

/// <summary>A typed client. It has no code for tokens.</summary>
internal sealed class OffersClient(HttpClient http)
{
    // A relative address without a leading slash is resolved under the base address, /v1.0/ included.
    public Task<HttpResponseMessage> GetOffersAsync(CancellationToken cancellationToken = default) => http.GetAsync("offers", cancellationToken);
}
