using Refit;

namespace RefitClient;

/// <summary>Sparkfly's offers. Routes start with a slash: Refit appends them to the base address, /v1.0 included.</summary>
public interface IOffersApi
{
    [Get("/offers")]
    Task<OfferList> GetOffersAsync(CancellationToken cancellationToken = default);

    [Post("/offers")]
    Task<Offer> AddOfferAsync([Body] Offer offer, CancellationToken cancellationToken = default);
}

public sealed record OfferList(IReadOnlyList<Offer> Offers);

public sealed record Offer(int Id, string Name);
