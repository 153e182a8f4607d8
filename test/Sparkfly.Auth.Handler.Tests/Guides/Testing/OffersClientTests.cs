using System.Net;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

public class OffersClientTests
{
    [Test]
    public async Task Offers_are_those_of_Sparkfly()
    {
        var sparkfly = new FakeSparkfly();
        sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[{"id":17,"name":"Bagel"}]}""");
        using HttpClient http = sparkfly.CreateClient();

        IReadOnlyList<Offer> offers = await new OffersClient(http).GetOffersAsync();

        Assert.That(offers, Is.EqualTo(new[] { new Offer(17, "Bagel") }));
    }

    [Test]
    public async Task A_new_member_is_sent_again_when_the_token_was_revoked()
    {
        var sparkfly = new FakeSparkfly();
        sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Created);
        using HttpClient http = sparkfly.CreateClient();
        var client = new OffersClient(http);
        await client.AddMemberAsync("jo@example.com");

        sparkfly.RevokeTokens();
        await client.AddMemberAsync("max@example.com");

        Assert.That(sparkfly.TokenRequests, Has.Count.EqualTo(2));
        Assert.That(sparkfly.Requests, Has.Count.EqualTo(3), "max was sent twice: with the revoked token, and with a new one");
    }
}
