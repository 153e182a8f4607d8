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
    public async Task A_day_later_there_is_a_new_token()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
        await using var application = new Application(_sparkfly, _time);
        using HttpClient browser = application.CreateClient();
        await browser.GetStringAsync("/offers");

        _time.Advance(TimeSpan.FromDays(1));
        await browser.GetStringAsync("/offers");

        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(2));
    }

    // Any type of the application's assembly will do, such as Program.
    private sealed class Application(FakeSparkfly sparkfly, FakeTimeProvider time) : WebApplicationFactory<OffersClient>
    {
        protected override void ConfigureWebHost(IWebHostBuilder builder) =>
            builder.ConfigureTestServices(services => services.AddFakeSparkfly(sparkfly, time));
    }
}
