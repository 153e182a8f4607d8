using Microsoft.Extensions.DependencyInjection;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

public class BrandsTests
{
    [Test]
    public async Task Each_brand_calls_with_its_own_account()
    {
        var sparkfly = new FakeSparkfly();
        sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        var services = new ServiceCollection();
        services.AddSparkflyAuth("tacos", options => options.Identity = "17");
        services.AddHttpClient("tacos").AddSparkflyAuthHandler("tacos");
        services.AddHttpClient("bagels").AddSparkflyAuthHandler("bagels");
        services.AddFakeSparkfly(sparkfly, accounts: ["bagels"]); // which this part of the application expects from another
        await using ServiceProvider provider = services.BuildServiceProvider();

        foreach (string brand in new[] { "tacos", "bagels" })
        {
            using HttpClient http = provider.GetRequiredService<IHttpClientFactory>().CreateClient(brand);
            await http.GetStringAsync("offers");
        }

        Assert.That(sparkfly.Requests.Select(r => r.Identity), Is.EqualTo(new[] { "17", "fake-identity-bagels" }));
    }

    [Test]
    public async Task A_client_of_one_brand()
    {
        var sparkfly = new FakeSparkfly();
        sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        using HttpClient http = sparkfly.CreateClient("tacos");

        Assert.That(await new OffersClient(http).GetOffersAsync(), Is.Empty);
        Assert.That(sparkfly.TokenRequests.Single().Identity, Is.EqualTo("fake-identity-tacos"));
    }
}
