using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using MultiAccount;
using Sparkfly.Auth.Handler;
using Sparkfly.Auth.Handler.Testing;

// Two brands from the configuration, and tenants from a database. One client, and each request names its account.
HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory });

builder.Services.AddSparkflyAuth("tacos");                           // reads the section "Sparkfly:tacos"
builder.Services.AddSparkflyAuth("bagels");
builder.Services.AddSparkflyAccountSource<TenantAccounts>();

// The client has no account of its own, so it needs a base address.
builder.Services.AddHttpClient<OffersClient>(static client => client.BaseAddress = SparkflyEnvironments.Staging).AddSparkflyAuthHandler();

// The sample calls an in-memory Sparkfly. Remove this part to call the real service.
FakeSparkfly sparkfly = builder.Services.AddFakeSparkfly();
sparkfly.Answer(HttpMethod.Get, "offers", static request =>
    new HttpResponseMessage { Content = new StringContent($"offers of {request.Identity}") });

using var database = new TenantDatabase();
using IHost host = builder.Build();
await host.StartAsync();
var offers = host.Services.GetRequiredService<OffersClient>();

bool isAsPromised = true;
foreach ((string account, string identity) in new[]
{
    ("tacos", "tacos"), ("bagels", "bagels"), ("corner-café", "tenant-1"), ("noodle-bar", "tenant-2"), ("tacos", "tacos"), ("corner-café", "tenant-1"),
})
{
    string answer = await offers.GetOffersAsync(account);
    Console.WriteLine($"{account,-12} {answer,-20} POST /auth so far: {sparkfly.TokenRequests.Count}");
    isAsPromised &= answer == $"offers of {identity}";
}

try
{
    await offers.GetOffersAsync("nobody");
    isAsPromised = false;
}
catch (InvalidOperationException exception)
{
    Console.WriteLine($"{"nobody",-12} {exception.Message}");
}

isAsPromised &= sparkfly.TokenRequests.Count == 4;
Console.WriteLine(isAsPromised
    ? "Each account has its own token, requested once: 4 POST /auth in all."
    : $"That is not as promised: {sparkfly.TokenRequests.Count} POST /auth in all.");
await host.StopAsync();
return isAsPromised ? 0 : 1;
