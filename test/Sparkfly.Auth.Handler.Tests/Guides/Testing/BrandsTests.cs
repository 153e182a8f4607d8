using Microsoft.Extensions.DependencyInjection;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

public class BrandsTests
{
    [Test]
    public async Task Each_brand_calls_with_its_own_account()
    {
        var services = new ServiceCollection();
        services.AddSparkflyAuth("tacos", options => options.Identity = "17");
        services.AddSparkflyAuth("bagels", options => { });
        services.AddHttpClient("tacos").AddSparkflyAuthHandler("tacos");
        services.AddHttpClient("bagels").AddSparkflyAuthHandler("bagels");
        FakeSparkfly sparkfly = services.AddFakeSparkfly();
        sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        await using ServiceProvider provider = services.BuildServiceProvider();

        foreach (string brand in new[] { "tacos", "bagels" })
        {
            using HttpClient http = provider.GetRequiredService<IHttpClientFactory>().CreateClient(brand);
            await http.GetStringAsync("offers");
        }

        Assert.That(sparkfly.Requests.Select(r => r.Identity), Is.EqualTo(new[] { "17", "fake-identity-bagels" }));
    }
}
