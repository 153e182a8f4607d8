namespace OffersApi;

/// <summary>A typed client. It has no code for tokens.</summary>
public sealed class OffersClient(HttpClient http)
{
    public async Task<IReadOnlyList<Offer>> GetOffersAsync(CancellationToken cancellationToken = default) =>
        (await http.GetFromJsonAsync<OfferList>("offers", cancellationToken))?.Offers ?? [];

    public async Task AddMemberAsync(string email, CancellationToken cancellationToken = default)
    {
        using HttpResponseMessage response = await http.PostAsJsonAsync("members", new { email }, cancellationToken);
        response.EnsureSuccessStatusCode();
    }

    private sealed record OfferList(IReadOnlyList<Offer> Offers);
}

/// <summary>An offer of Sparkfly.</summary>
public sealed record Offer(int Id, string Name);
