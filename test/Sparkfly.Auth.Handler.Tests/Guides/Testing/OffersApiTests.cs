using System.Net;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Sparkfly.Auth.Handler.Testing;

namespace OffersApi.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public class OffersApiTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly FakeSparkfly _sparkfly = new();

    [Test]
    public async Task Offers_come_from_Sparkfly_with_one_token()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[{"id":17,"name":"Free coffee with any bagel"}]}""");
        await using var application = new Application(_sparkfly, _time);
        using HttpClient browser = application.CreateClient();

        string first = await browser.GetStringAsync("/offers");
        string second = await browser.GetStringAsync("/offers");

        Assert.That(first, Is.EqualTo("""[{"id":17,"name":"Free coffee with any bagel"}]"""));
        Assert.That(second, Is.EqualTo(first));
        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task An_outage_of_auth_is_a_503_until_it_is_over()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        _sparkfly.FailTokenRequests(HttpStatusCode.ServiceUnavailable, retryAfter: TimeSpan.FromMinutes(2), times: 1);
        await using var application = new Application(_sparkfly, _time);
        using HttpClient browser = application.CreateClient();

        using HttpResponseMessage during = await browser.GetAsync("/offers");
        _time.Advance(TimeSpan.FromMinutes(2));
        using HttpResponseMessage after = await browser.GetAsync("/offers");

        Assert.That(during.StatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That(after.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_token_request_that_hangs_is_given_up()
    {
        _sparkfly.HoldTokenRequests();
        await using var application = new Application(_sparkfly, _time);
        using HttpClient browser = application.CreateClient();

        Task<HttpResponseMessage> call = browser.GetAsync("/offers");
        await _sparkfly.WaitForTokenRequestsAsync(1);
        _time.Advance(TimeSpan.FromSeconds(30)); // AuthTimeout

        using HttpResponseMessage response = await call;
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
    }

    [Test]
    public async Task A_day_later_there_is_a_new_token()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        await using var application = new Application(_sparkfly, _time);
        using HttpClient browser = application.CreateClient();
        await browser.GetStringAsync("/offers");

        _time.Advance(TimeSpan.FromDays(1));
        await browser.GetStringAsync("/offers");

        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(2));
        Assert.That(_sparkfly.Requests, Has.Count.EqualTo(2), "no request was sent with the old token");
    }

    // Any type of the application's assembly will do; the Program of top-level statements is the usual one.
    private sealed class Application(FakeSparkfly sparkfly, FakeTimeProvider time) : WebApplicationFactory<OffersClient>
    {
        protected override void ConfigureWebHost(IWebHostBuilder builder) =>
            builder.ConfigureTestServices(services => services.AddFakeSparkfly(sparkfly, time));
    }
}
