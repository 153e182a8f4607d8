using System.Net;
using Sparkfly.Auth.Handler.Testing;
using Worker;

HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);

builder.Services.AddSparkflyAuth();
builder.Services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();
builder.Services.AddHostedService<OffersWorker>();

// Without a key, an in-memory Sparkfly takes the place of the real one. Its first token request fails.
FakeSparkfly? sparkfly = builder.Configuration["Sparkfly:Key"] is null ? builder.Services.AddFakeSparkfly() : null;
if (sparkfly is not null)
{
    sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":["two for one"]}""");
    sparkfly.FailTokenRequests(HttpStatusCode.ServiceUnavailable, times: 1);

    // Shorter than the default of one second, so that the sample ends sooner.
    builder.Configuration["Sparkfly:MinFailureBackoff"] = "00:00:00.1";
}

await builder.Build().RunAsync();

if (sparkfly is null)
{
    return 0;
}

Console.WriteLine($"The worker survived an outage: {sparkfly.TokenRequests.Count} POST /auth and {sparkfly.Requests.Count} GET offers in all.");
return sparkfly.TokenRequests.Count == 2 && sparkfly.Requests.Count == 2 ? 0 : 1;
