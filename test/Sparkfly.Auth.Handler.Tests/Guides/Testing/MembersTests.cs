using System.Net;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

public class MembersTests
{
    [Test]
    public async Task A_second_member_with_the_same_address_is_a_conflict()
    {
        var sparkfly = new FakeSparkfly();
        sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Created);
        sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Conflict).WhenJson("""{"email":"jo@example.com"}""", isPartial: true);
        using HttpClient http = sparkfly.CreateClient();
        var client = new OffersClient(http);

        await client.AddMemberAsync("max@example.com");

        Assert.That(
            async () => await client.AddMemberAsync("jo@example.com"),
            Throws.TypeOf<HttpRequestException>().With.Property("StatusCode").EqualTo(HttpStatusCode.Conflict));
    }
}
