using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The promise of the first page: two lines, and no thought of tokens.</summary>
public class FirstRequestTests
{
    [Test]
    public async Task The_first_request_fetches_a_token_and_later_ones_use_it_until_a_401_renews_it_once()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        Assert.That(server.TokenRequests, Is.EqualTo(1));

        server.RevokeTokens();
        using HttpResponseMessage replayed = await client.PostAsync("offers", new StringContent("a body"));

        Assert.That(replayed.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
        Assert.That(server.ApiRequests, Is.EqualTo(5), "three that were answered, one that was rejected, one sent again");
    }
}
