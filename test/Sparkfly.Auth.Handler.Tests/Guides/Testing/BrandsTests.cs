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
        using HttpClient tacos = sparkfly.CreateClient("tacos");
        using HttpClient bagels = sparkfly.CreateClient("bagels", options => options.Identity = "17");

        await tacos.GetStringAsync("offers");
        await bagels.GetStringAsync("offers");

        Assert.That(sparkfly.Requests.Select(r => r.Identity), Is.EqualTo(new[] { "fake-identity-tacos", "17" }));
    }
}
