using Microsoft.Extensions.DependencyInjection;

namespace MultiAccount;

/// <summary>A typed client. Each request names its account.</summary>
internal sealed class OffersClient(HttpClient http)
{
    public async Task<string> GetOffersAsync(string account, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        request.SetSparkflyAccount(account);
        using HttpResponseMessage response = await http.SendAsync(request, cancellationToken);
        response.EnsureSuccessStatusCode();
        return await response.Content.ReadAsStringAsync(cancellationToken);
    }
}
