namespace WebApp;

/// <summary>The offers of the account.</summary>
internal sealed class OffersClient(HttpClient http)
{
    public Task<string> GetOffersAsync(CancellationToken cancellationToken) => http.GetStringAsync("offers", cancellationToken);
}

/// <summary>The members of the account.</summary>
internal sealed class MembersClient(HttpClient http)
{
    public Task<string> GetMemberAsync(string id, CancellationToken cancellationToken) =>
        http.GetStringAsync($"members/{Uri.EscapeDataString(id)}", cancellationToken);
}
