namespace Quickstart;

/// <summary>A typed client, as an application writes it: it knows nothing of tokens.</summary>
internal sealed class OffersClient(HttpClient http)
{
    // Relative, without a leading slash: resolved under the base address, /v1.0/ included.
    public Task<HttpResponseMessage> GetOffersAsync(CancellationToken cancellationToken = default) => http.GetAsync("offers", cancellationToken);
}
