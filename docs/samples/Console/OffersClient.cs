namespace ConsoleProgram;

/// <summary>The offers of the account.</summary>
internal sealed class OffersClient(HttpClient http)
{
    public Task<string> GetOffersAsync() => http.GetStringAsync("offers");
}
