using System.Net;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

public class OutageTests
{
    [Test]
    public async Task Offers_are_there_again_after_an_outage()
    {
        var sparkfly = new FakeSparkfly();
        sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable)
            .Then(FakeSparkflyResponse.ConnectionReset())
            .Then("""{"offers":[]}""");
        using HttpClient http = sparkfly.CreateClient();
        var client = new OffersClient(http);

        Assert.That(async () => await client.GetOffersAsync(), Throws.InstanceOf<HttpRequestException>());
        Assert.That(async () => await client.GetOffersAsync(), Throws.InstanceOf<HttpRequestException>());
        Assert.That(await client.GetOffersAsync(), Is.Empty);
    }

    [Test]
    public async Task Slow_offers_are_waited_for()
    {
        var sparkfly = new FakeSparkfly();
        var time = new FakeTimeProvider();
        sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.Json("""{"offers":[]}""").After(TimeSpan.FromSeconds(20)));
        using HttpClient http = sparkfly.CreateClient(timeProvider: time);

        Task<IReadOnlyList<Offer>> call = new OffersClient(http).GetOffersAsync();
        await sparkfly.WaitForRequestsAsync(1);
        time.Advance(TimeSpan.FromSeconds(20));

        Assert.That(await call, Is.Empty);
    }
}
