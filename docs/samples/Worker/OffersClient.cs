namespace Worker;

/// <summary>The offers of the account.</summary>
internal sealed class OffersClient(HttpClient http)
{
    public Task<string> GetOffersAsync(CancellationToken cancellationToken) => http.GetStringAsync("offers", cancellationToken);
}
