using System.Collections.Concurrent;
using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 3.9, 6.1, 6.2 and 6.4, for the token request that a generated client makes by itself: it is recognised by where it goes.</summary>
public class OwnTokenRequestTests
{
    [Test]
    public async Task It_follows_no_redirect_even_as_the_first_request_of_all(
        [Values(301, 302, 303, 307, 308)] int status, [Values] Primary primary, [Values] bool isOfOtherAccount, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using StandInServer own = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.OnTokenRequest = context =>
        {
            context.RedirectTo(status, other.Address.AbsoluteUri);
            return Task.FromResult(true);
        };
        await using TestApp app = (isOfOtherAccount ? own : sparkfly).App(client: client => client.Use(primary));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.SendAs(sending, TokenRequestTo(sparkfly));

        Assert.That((int)response.StatusCode, Is.EqualTo(status), "the 3xx is the caller's");
        Assert.That(other.Requests, Is.Empty);
        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests, own.TokenRequests), Is.EqualTo((1, 0, 0)));
    }

    /// <summary>Rule 5.5: both homes of <c>/auth</c> count.</summary>
    [Test]
    public async Task Nor_does_one_to_the_other_home_of_auth([Values("/v1.0/auth", "/auth")] string path, [Values] bool hasKey, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.OnTokenRequest = context =>
        {
            context.RedirectTo(307, other.Address.AbsoluteUri);
            return Task.FromResult(true);
        };
        ConcurrentQueue<Seen> atRoot = sparkfly.Redirect("/auth", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using HttpRequestMessage request = TokenRequestTo(sparkfly);
        request.RequestUri = new Uri(sparkfly.BaseAddress, path);
        if (!hasKey)
        {
            request.Headers.Remove("X-Auth-Key");
        }

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.TemporaryRedirect));
        Assert.That(other.Requests, Is.Empty);
        Assert.That(atRoot.Select(static s => s.Token), Is.All.Null);
    }

    /// <summary>Rule 5.5: as a generated client posts there, wherever AuthEndpoint is.</summary>
    [Test]
    public async Task Where_AuthEndpoint_is_set_one_to_either_home_carries_no_token_and_its_401_renews_nothing(
        [Values("/auth", "/v1.0/auth", "/tokens")] string authEndpoint, [Values("/auth", "/v1.0/auth", "/tokens")] string path, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync(o => o with { AuthPath = authEndpoint });
        ConcurrentQueue<Seen> seen = sparkfly.Record(static context =>
        {
            context.Response.StatusCode = 401;
            return true;
        });
        await using TestApp app = sparkfly.App(o => o.AuthEndpoint = new Uri(o.BaseAddress!, authEndpoint));
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();
        using HttpRequestMessage request = TokenRequestTo(sparkfly);
        request.RequestUri = new Uri(sparkfly.BaseAddress, path);

        using HttpResponseMessage response = await client.SendAs(sending, request);

        bool isHome = path != "/tokens" || authEndpoint == "/tokens";
        Assert.That(response.StatusCode, Is.EqualTo(path == authEndpoint ? HttpStatusCode.NoContent : HttpStatusCode.Unauthorized));
        Assert.That(seen.Select(static s => s.Token is null), Is.All.EqualTo(isHome));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(path == authEndpoint || !isHome ? 2 : 1));
    }

    /// <summary>Cookies know no ports, so the two servers are one to them.</summary>
    [Test]
    public async Task Its_cookies_are_not_kept_and_do_not_travel_with_another_accounts([Values] Primary primary, [Values] Sending sending)
    {
        await using StandInServer first = await Sparkfly.StartAsync();
        await using StandInServer second = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        ConcurrentQueue<Seen> atFirst = RecordTokenRequests(first);
        ConcurrentQueue<Seen> atSecond = RecordTokenRequests(second);
        await using TestApp app = first.App(client: client => client.Use(primary));
        using HttpClient client = app.Client();

        foreach (StandInServer server in (StandInServer[])[first, second, first, second])
        {
            using HttpResponseMessage response = await client.SendAs(sending, TokenRequestTo(server));
            Assert.That(response.Headers.Contains("Set-Cookie"), Is.True, "the stand-in tries");
        }

        using HttpResponseMessage elsewhere = await client.GetAs(sending, other.Address);

        Assert.That(
            atFirst.Concat(atSecond).Concat(other.Requests).Select(static s => s.Headers.ContainsKey("Cookie")),
            Is.EqualTo((bool[])[false, false, false, false, false]));
    }

    /// <summary>Rule 3.9: nothing is known of one account that is taken off another's request.</summary>
    [Test]
    public async Task Of_accounts_and_applications_that_share_identity_and_key_each_ones_arrives_whole([Values] bool isOneApplication, [Values] Sending sending)
    {
        await using StandInServer first = await Sparkfly.StartAsync();
        await using StandInServer second = await Sparkfly.StartAsync(o => o with { Identity = first.Options.Identity, Key = first.Options.Key });
        ConcurrentQueue<Seen> atFirst = RecordTokenRequests(first);
        ConcurrentQueue<Seen> atSecond = RecordTokenRequests(second);
        await using TestApp one = App(first, isOneApplication ? second : first);
        await using TestApp another = App(second, isOneApplication ? first : second);
        HttpClient[] clients = [one.Client("first"), one.Client("second"), another.Client("first"), another.Client("second")];

        // Of every client to both, before and after each account has a token of its own.
        for (int round = 0; round < 2; round++)
        {
            foreach (HttpClient client in clients)
            {
                foreach (StandInServer server in (StandInServer[])[first, second])
                {
                    using HttpResponseMessage own = await client.SendAs(sending, TokenRequestTo(server));
                    Assert.That(own.StatusCode, Is.EqualTo(HttpStatusCode.NoContent));
                    Assert.That(own.Headers.Contains("X-Auth-Token"), Is.True, "the response is the caller's");
                }

                using HttpResponseMessage response = await client.GetAs(sending, "offers");
                Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            }
        }

        foreach (Seen seen in atFirst.Concat(atSecond))
        {
            Assert.That(
                (seen.Headers.GetValueOrDefault("X-Auth-Identity"), seen.Headers.GetValueOrDefault("X-Auth-Key"), seen.Token),
                Is.EqualTo((first.Options.Identity, first.Options.Key, (string?)null)));
        }

        Assert.That(atFirst, Has.Count.GreaterThan(8));
        Assert.That(atSecond, Has.Count.GreaterThan(8));

        static TestApp App(StandInServer one, StandInServer two) => new(services =>
        {
            services.AddSparkflyAuth("first", options => options.Use(one));
            services.AddSparkflyAuth("second", options => options.Use(two));
            services.AddHttpClient("first").AddSparkflyAuthHandler("first");
            services.AddHttpClient("second").AddSparkflyAuthHandler("second");
        });
    }

    private static HttpRequestMessage TokenRequestTo(StandInServer server) => new(HttpMethod.Post, new Uri(server.BaseAddress, "auth"))
    {
        Headers = { { "X-Auth-Identity", server.Options.Identity }, { "X-Auth-Key", server.Options.Key } },
    };

    private static ConcurrentQueue<Seen> RecordTokenRequests(StandInServer server)
    {
        var seen = new ConcurrentQueue<Seen>();
        server.OnTokenRequest = async context =>
        {
            seen.Enqueue(await Seen.OfAsync(context));
            return false;
        };
        return seen;
    }
}
