using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Quickstart;

// An application compiled ahead of time, which calls the stand-in for Sparkfly in another process: Sparkfly__BaseAddress, Sparkfly__Identity and
// Sparkfly__Key are in the environment. It prints what it did, and fails where that is not as promised.
Console.WriteLine(RuntimeFeature.IsDynamicCodeSupported ? "Compiled just in time." : "Compiled ahead of time.");

HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
var counter = new TokenRequestCounter();
builder.Services.AddSparkflyAuth().UseDistributedCache().ConfigureAuthClient(auth => auth.AddHttpMessageHandler(counter.NewHandler));
builder.Services.AddDistributedMemoryCache();
builder.Services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();

using IHost host = builder.Build();
await host.StartAsync();
var offers = host.Services.GetRequiredService<OffersClient>();
bool isAsPromised = true;

await CallAsync("the first call asks for a token", 1);
await CallAsync("the second one reuses it", 1);
await RevokeAsync();
await CallAsync("it is rejected, renewed, and the call sent again", 2);
await CallAsync("the new one is reused", 2);

Console.WriteLine(isAsPromised ? "All is as promised." : "That is not as promised.");
return isAsPromised ? 0 : 1;

async Task CallAsync(string what, int tokenRequests)
{
    using HttpResponseMessage response = await offers.GetOffersAsync();
    isAsPromised &= response.StatusCode == HttpStatusCode.OK && counter.Count == tokenRequests;
    Console.WriteLine($"{what}: {(int)response.StatusCode}, {counter.Count} POST /auth so far, {tokenRequests} expected");
}

async Task RevokeAsync()
{
    using HttpClient http = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient();
    var revoke = new Uri(new Uri(builder.Configuration["Sparkfly:BaseAddress"]!), "/standin/revoke");
    using HttpResponseMessage response = await http.PostAsync(revoke, null);
    response.EnsureSuccessStatusCode();
    Console.WriteLine("the server revokes every token");
}
