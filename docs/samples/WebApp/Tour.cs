using Sparkfly.Auth.Handler.Testing;

namespace WebApp;

/// <summary>Without a key, an in-memory Sparkfly takes the place of the real one. The application calls itself a few times and ends.</summary>
internal sealed class Tour(FakeSparkfly sparkfly)
{
    public static Tour Prepare(WebApplicationBuilder builder)
    {
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        FakeSparkfly sparkfly = builder.Services.AddFakeSparkfly();
        sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":["two for one"]}""");
        sparkfly.Answer(HttpMethod.Get, "members/*", """{"points":120}""");
        return new Tour(sparkfly);
    }

    public async Task<int> TakeAsync(WebApplication app)
    {
        await app.StartAsync();
        using var browser = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };
        await GetAsync(browser, "health");
        await GetAsync(browser, "offers");
        await GetAsync(browser, "members/7");
        sparkfly.RevokeTokens();
        Console.WriteLine("           every token is revoked");
        await GetAsync(browser, "offers");
        await GetAsync(browser, "health");
        int tokenRequests = sparkfly.TokenRequests.Count;
        await app.StopAsync();
        Console.WriteLine($"The token was fetched when the host started, used by both clients, and renewed once: {tokenRequests} POST /auth in all.");
        return tokenRequests == 2 ? 0 : 1;
    }

    private static async Task GetAsync(HttpClient browser, string path)
    {
        using HttpResponseMessage response = await browser.GetAsync(path);
        Console.WriteLine($"GET /{path,-10} {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
        response.EnsureSuccessStatusCode();
    }
}
