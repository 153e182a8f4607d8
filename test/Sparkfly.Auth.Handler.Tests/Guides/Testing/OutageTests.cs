using System.Net;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Sparkfly.Auth.Handler;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public class OutageTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly FakeSparkfly _sparkfly = new();

    [Test]
    public async Task Offers_are_there_again_after_an_outage()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable, times: 2)
            .Then(FakeSparkflyResponse.ConnectionReset())
            .Then(FakeSparkflyResponse.JsonOf(new { offers = new[] { new Offer(17, "Free coffee") } }));
        using HttpClient http = _sparkfly.CreateClient();
        var client = new OffersClient(http);

        for (int i = 0; i < 3; i++)
        {
            Assert.That(async () => await client.GetOffersAsync(), Throws.InstanceOf<HttpRequestException>());
        }

        Assert.That(await client.GetOffersAsync(), Is.EqualTo(new[] { new Offer(17, "Free coffee") }));
    }

    [Test]
    public async Task Slow_offers_are_waited_for()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.Json("""{"offers":[]}""").After(TimeSpan.FromSeconds(20)));
        using HttpClient http = _sparkfly.CreateClient(timeProvider: _time);

        Task<IReadOnlyList<Offer>> call = new OffersClient(http).GetOffersAsync();
        await _sparkfly.WaitForRequestsAsync(1);
        Assert.That(call.IsCompleted, Is.False);
        _time.Advance(TimeSpan.FromSeconds(20));

        Assert.That(await call, Is.Empty);
    }

    [Test]
    public void A_timeout_and_half_a_response_are_failures()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.Timeout())
            .Then(FakeSparkflyResponse.HalfBody("""{"offers":[]}"""));
        using HttpClient http = _sparkfly.CreateClient();
        var client = new OffersClient(http);

        Assert.That(async () => await client.GetOffersAsync(), Throws.TypeOf<TaskCanceledException>());
        Assert.That(async () => await client.GetOffersAsync(), Throws.InstanceOf<Exception>());
    }

    [Test]
    public async Task No_token_no_offers_until_the_pause_after_a_failure_is_over()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        _sparkfly.FailTokenRequests(HttpStatusCode.ServiceUnavailable, retryAfter: TimeSpan.FromMinutes(2), times: 1);
        using HttpClient http = _sparkfly.CreateClient(timeProvider: _time);
        var client = new OffersClient(http);

        Assert.That(async () => await client.GetOffersAsync(), Throws.TypeOf<SparkflyAuthenticationException>());
        _time.Advance(TimeSpan.FromMinutes(2));

        Assert.That(await client.GetOffersAsync(), Is.Empty);
    }

    [Test]
    public async Task A_client_that_does_not_retry_hands_the_401_over()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        using HttpClient http = _sparkfly.CreateClient(options => options.RetryOnUnauthorized = false);
        await http.GetStringAsync("offers");

        _sparkfly.RevokeTokens();
        using HttpResponseMessage response = await http.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), _sparkfly.ToString());
    }
}
