using System.Net;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public class MembersTests
{
    private readonly FakeSparkfly _sparkfly = new();

    [Test]
    public async Task A_second_member_with_the_same_address_is_a_conflict()
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Created);
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Conflict).WhenJson("""{"email":"jo@example.com"}""", isPartial: true);
        using HttpClient http = _sparkfly.CreateClient();
        var client = new OffersClient(http);

        await client.AddMemberAsync("max@example.com");

        Assert.That(
            async () => await client.AddMemberAsync("jo@example.com"),
            Throws.TypeOf<HttpRequestException>().With.Property("StatusCode").EqualTo(HttpStatusCode.Conflict));
    }

    [TestCase("offers?page=2&store=17")]
    [TestCase("offers?store=17&page=2")]
    public async Task Parameters_of_a_query_may_come_in_any_order(string address)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers?store=17&page=2", """{"offers":[]}""");
        _sparkfly.Answer(FakeSparkfly.AnyMethod, "members/**", HttpStatusCode.Forbidden);
        _sparkfly.Answer(HttpMethod.Get, "items/item-*", HttpStatusCode.NotFound).WhenHeader("Accept-Language", "de*");
        using HttpClient http = _sparkfly.CreateClient();

        Assert.That(await http.GetStringAsync(address), Is.EqualTo("""{"offers":[]}"""));
    }

    [Test]
    public void A_request_that_no_answer_fits_fails_the_call()
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Created);
        using HttpClient http = _sparkfly.CreateClient();

        Assert.That(
            async () => await http.GetStringAsync("members"),
            Throws.InvalidOperationException.With.Message.Contains("POST members → 201: the method differs"));
        Assert.That(_sparkfly.Unanswered, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task An_answer_can_be_taken_back()
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Created);
        using HttpClient http = _sparkfly.CreateClient();
        var client = new OffersClient(http);

        using (FakeSparkflyAnswer full = _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.InsufficientStorage))
        {
            Assert.That(async () => await client.AddMemberAsync("jo@example.com"), Throws.TypeOf<HttpRequestException>());
            Assert.That(full.Uses, Is.EqualTo(1));
        }

        await client.AddMemberAsync("jo@example.com");
        _sparkfly.VerifyAllAnswersUsed();
    }
}
