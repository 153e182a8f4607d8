using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Refit;
using RefitClient;
using Sparkfly.Auth.Handler.Testing;

HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory });

builder.Services.AddSparkflyAuth();
builder.Services.AddRefitGeneratedClient<IOffersApi>().AddSparkflyAuthHandler();

// The sample calls an in-memory Sparkfly. Remove this part to call the real service.
FakeSparkfly sparkfly = builder.Services.AddFakeSparkfly();
sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[{"id":17,"name":"Two for one"}]}""");
sparkfly.Answer(HttpMethod.Post, "offers", """{"id":18,"name":"Free coffee"}""", HttpStatusCode.Created);

using IHost host = builder.Build();
await host.StartAsync();
var api = host.Services.GetRequiredService<IOffersApi>();

OfferList list = await api.GetOffersAsync();
Console.WriteLine($"GET offers:  {string.Join(", ", list.Offers)}");

sparkfly.RevokeTokens();
Console.WriteLine("             every token is revoked");
Offer added = await api.AddOfferAsync(new Offer(0, "Free coffee"));
Console.WriteLine($"POST offers: {added}");

Console.WriteLine($"The token was renewed and the POST replayed with its body: {sparkfly.TokenRequests.Count} POST /auth in all.");
await host.StopAsync();
return sparkfly.TokenRequests.Count == 2 && added.Id == 18 ? 0 : 1;
