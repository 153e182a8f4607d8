using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.5, for Sparkfly's other hosts, which take the same tokens: docs/sparkfly.md.</summary>
public class SharedAuthEndpointTests
{
    [Test]
    public async Task Two_accounts_at_two_hosts_with_one_AuthEndpoint_share_a_token_and_each_ones_401_renews_it_for_both([Values] Sending sending)
    {
        await using StandInServer core = await Sparkfly.StartAsync();
        await using RecordingServer pos = await RecordingServer.StartAsync();
        pos.Answer = context =>
        {
            context.Response.StatusCode = core.IsGood(context.Request.Headers["X-Auth-Token"]) ? 200 : 401;
            return Task.CompletedTask;
        };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o =>
            {
                o.Use(core);
                o.AuthEndpoint = new Uri(core.BaseAddress, "auth");
            });
            services.AddSparkflyAuth("pos", o =>
            {
                o.Use(core);
                (o.BaseAddress, o.AuthEndpoint) = (pos.Address, new Uri(core.BaseAddress, "auth"));
            });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
            services.AddHttpClient("pos").AddSparkflyAuthHandler("pos");
        });
        using HttpClient api = app.Client();
        using HttpClient checks = app.Client("pos");

        (await api.GetAs(sending, "offers")).EnsureSuccessStatusCode();
        (await checks.GetAs(sending, "checks")).EnsureSuccessStatusCode();
        Assert.That(core.TokenRequests, Is.EqualTo(1));

        core.RevokeTokens();
        (await checks.GetAs(sending, "checks")).EnsureSuccessStatusCode();
        (await api.GetAs(sending, "offers")).EnsureSuccessStatusCode();
        Assert.That(core.TokenRequests, Is.EqualTo(2));
    }
}
