using System.Diagnostics;
using System.Net;
using ServiceDefaults;
using Sparkfly.Auth.Handler;
using Sparkfly.Auth.Handler.Testing;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();

// AddResilienceRules: the defaults' retries and circuit breakers leave wrong credentials alone.
builder.Services.AddSparkflyAuth().AddResilienceRules();
builder.Services.AddHttpClient("offers").AddSparkflyAuthHandler();

// Without a key, an in-memory Sparkfly takes the place of the real one, and the application calls itself and ends.
FakeSparkfly? sparkfly = builder.Configuration["Sparkfly:Key"] is null ? builder.Services.AddFakeSparkfly() : null;
if (sparkfly is not null)
{
    builder.WebHost.UseUrls("http://127.0.0.1:0");
}

await using WebApplication app = builder.Build();
app.MapDefaultEndpoints();
app.MapGet("/offers", static async (IHttpClientFactory clients, CancellationToken cancellationToken) =>
{
    try
    {
        return Results.Text(await clients.CreateClient("offers").GetStringAsync("offers", cancellationToken));
    }
    catch (SparkflyAuthenticationException exception)
    {
        return Results.Problem(exception.Message, statusCode: StatusCodes.Status503ServiceUnavailable);
    }
});

if (sparkfly is null)
{
    await app.RunAsync();
    return 0;
}

await app.StartAsync();
using var browser = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };

sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":["two for one"]}""");
await GetAsync("health");
await GetAsync("offers");

sparkfly.RevokeTokens();
sparkfly.FailTokenRequests(HttpStatusCode.Unauthorized);
Console.WriteLine("            the credentials are revoked");
TimeSpan took = await GetAsync("offers");
await GetAsync("alive");
await app.StopAsync();

// Without the rules the default retries would take about 14 seconds, and change nothing.
bool isAsPromised = took < TimeSpan.FromSeconds(5) && sparkfly.TokenRequests.Count == 2;
Console.WriteLine($"The failure was {(isAsPromised ? "not " : "")}retried: {sparkfly.TokenRequests.Count} POST /auth in all.");
return isAsPromised ? 0 : 1;

async Task<TimeSpan> GetAsync(string path)
{
    long start = Stopwatch.GetTimestamp();
    using HttpResponseMessage response = await browser.GetAsync(path);
    TimeSpan took = Stopwatch.GetElapsedTime(start);
    Console.WriteLine($"GET /{path,-7} {(int)response.StatusCode} {took.TotalMilliseconds,6:0} ms  {await response.Content.ReadAsStringAsync()}");
    return took;
}
