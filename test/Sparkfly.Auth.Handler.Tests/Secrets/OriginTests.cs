using System.Collections.Concurrent;
using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.1: a token goes to the origin of its account's base address, and nowhere else.</summary>
public class OriginTests
{
    private const string Base = "http://api.sparkfly.com/v1.0/";

    [Test]
    public async Task A_look_alike_of_the_base_address_gets_no_token_and_its_401_renews_nothing(
        [Values(
            "http://api.sparkfly.com.evil.example/v1.0/offers",
            "http://api.sparkfly.com@evil.example/v1.0/offers",
            "http://api.sparkfly.com:80@evil.example/v1.0/offers",
            "http://api.sparkfly.com./v1.0/offers",
            "http://api.sparkfly.com:81/v1.0/offers",
            "http://sparkfly.com/v1.0/offers",
            "http://www.api.sparkfly.com/v1.0/offers",
            "http://xapi.sparkfly.com/v1.0/offers",
            "http://api-sparkfly.com/v1.0/offers",
            "http://\u0430pi.sparkfly.com/v1.0/offers",
            "https://api.sparkfly.com/v1.0/offers",
            "https://api.sparkfly.com:80/v1.0/offers")]
        string lookAlike,
        [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer evil = await RecordingServer.StartAsync(isHttps: lookAlike.StartsWith("https:", StringComparison.Ordinal));
        evil.AnswerAlways(HttpStatusCode.Unauthorized);
        bool isWarm = false;
        var network = new Network(asked => isWarm ? evil.Address : sparkfly.BaseAddress);
        await using TestApp app = App(sparkfly, network, Base);
        using HttpClient client = app.Client();
        using HttpResponseMessage warm = await client.GetAs(sending, "offers");
        Assert.That(warm.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        isWarm = true;

        using HttpResponseMessage response = await client.GetAs(sending, lookAlike);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(evil.Requests, Has.Count.EqualTo(1), "sent once, and not again");
        Assert.That(evil.Requests[0].Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1), "no renewal");
    }

    [Test]
    public async Task Other_names_of_a_loopback_address_are_other_origins(
        [Values("localhost", "[::1]", "127.0.0.2")] string name, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = sparkfly.Record(static _ => false);
        await using TestApp app = App(sparkfly, new Network(_ => sparkfly.BaseAddress), sparkfly.BaseAddress.OriginalString);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, $"http://{name}:{sparkfly.BaseAddress.Port}/v1.0/offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(seen.Single().Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.Zero);
    }

    [Test]
    public async Task Every_way_to_write_the_base_addresses_origin_gets_the_token(
        [Values(
            "http://api.sparkfly.com/v1.0/offers",
            "HTTP://API.Sparkfly.COM/v1.0/offers",
            "http://api.sparkfly.com:80/v1.0/offers",
            "http://somebody@api.sparkfly.com/v1.0/offers",
            "http://api.sparkfly.com/elsewhere?x=http://evil.example/#fragment")]
        string address,
        [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, new Network(_ => sparkfly.BaseAddress), Base);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, address);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_request_to_another_origin_passes_untouched_with_the_callers_own_token([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using var bare = new HttpClient();
        using HttpRequestMessage request = Request();
        using HttpRequestMessage same = Request();

        using HttpResponseMessage response = await client.SendAs(sending, request);
        using HttpResponseMessage platforms = await bare.SendAs(sending, same);

        Assert.That(other.Requests, Has.Count.EqualTo(2));
        Assert.That(other.Requests[0].Without(), Is.EqualTo(other.Requests[1].Without()));
        Assert.That(other.Requests[0].Token, Is.EqualTo("the-caller's-own"));
        Assert.That(request.Headers.GetValues("X-Auth-Token"), Is.EqualTo((string[])["the-caller's-own"]), "the message keeps it");
        Assert.That(request.Options, Is.Empty, "nothing of ours is left on it");
        Assert.That(sparkfly.TokenRequests, Is.Zero);

        HttpRequestMessage Request() => new(HttpMethod.Put, new Uri(other.Address, "things?x=1"))
        {
            Content = new StringContent("{}"),
            Headers = { { "X-Auth-Token", "the-caller's-own" }, { "X-Auth-Key", "too" }, { "Authorization", "Bearer x" }, { "X-Custom", "a" } },
        };
    }

    /// <summary>Rules 6.1 and 6.8: with the handler on every client, other services' headers of the same name are theirs.</summary>
    [Test]
    public async Task An_X_Auth_Token_for_another_host_arrives_untouched_however_many_values_it_has(
        [Values(1, 1000)] int count, [Values] bool isInDefaults, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            IHttpClientBuilder client = services.AddHttpClient("api");
            _ = isInDefaults ? services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler()) : client.AddSparkflyAuthHandler().Services;
        });
        using HttpClient client = app.Client();
        using HttpResponseMessage warm = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));
        string[] values = [.. Enumerable.Range(0, count).Select(static i => $"value-{i}")];
        using var request = new HttpRequestMessage(HttpMethod.Get, other.Address) { Headers = { { "X-Auth-Token", values } } };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(other.Requests.Single().Token, Is.EqualTo(string.Join(", ", values)));
        Assert.That(request.Headers.GetValues("X-Auth-Token"), Is.EqualTo(values));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_request_to_Sparkfly_has_the_accounts_token_in_place_of_the_callers_which_is_not_restored(
        [Values(1, 1000)] int count, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers")
        {
            Headers = { { "X-Auth-Token", Enumerable.Range(0, count).Select(static i => $"value-{i}") } },
        };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(sparkfly.IsGood(home.Single().Token), Is.True);
        Assert.That(request.Headers.Contains("X-Auth-Token"), Is.False);
    }

    [Test]
    public async Task A_request_to_the_auth_endpoint_passes_untouched_and_its_401_renews_nothing(
        [Values("/v1.0/auth", "/auth", "/v1.0/auth?x=1", "/token/issue")] string path, [Values] Sending sending)
    {
        string authPath = path.Split('?')[0];
        await using StandInServer sparkfly = await Sparkfly.StartAsync(o => o with { AuthPath = authPath });
        var seen = new ConcurrentQueue<Seen>();
        sparkfly.OnTokenRequest = async context =>
        {
            seen.Enqueue(await Seen.OfAsync(context));
            return false;
        };
        sparkfly.OnApiRequest = context =>
        {
            bool isOldHome = context.Request.Path == "/v1.0/auth";
            context.Response.StatusCode = isOldHome ? 404 : 200;
            return Task.FromResult(isOldHome);
        };
        await using TestApp app = sparkfly.App(options =>
        {
            if (authPath == "/token/issue")
            {
                options.AuthEndpoint = new Uri(options.BaseAddress!, authPath);
            }
        });
        using HttpClient client = app.Client();
        using HttpResponseMessage warm = await client.GetAs(sending, "offers");
        Assert.That(warm.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        int before = sparkfly.TokenRequests;

        // What a generated client sends, once with good credentials and once with bad ones.
        using HttpResponseMessage good = await client.SendAs(sending, Generated(sparkfly.Options.Key));
        using HttpResponseMessage bad = await client.SendAs(sending, Generated("wrong"));

        Assert.That(good.StatusCode, Is.EqualTo(HttpStatusCode.NoContent));
        Assert.That(good.Headers.Contains("X-Auth-Token"), Is.True, "the answer is the caller's");
        Assert.That(bad.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(before + 2), "the caller's two, and none of ours");
        Assert.That(seen.TakeLast(2).Select(static s => s.Token), Is.All.Null);
        Assert.That(seen.TakeLast(2).Select(static s => s.Headers["X-Auth-Key"]), Is.EqualTo((string[])[sparkfly.Options.Key, "wrong"]));

        HttpRequestMessage Generated(string key) => new(HttpMethod.Post, new Uri(sparkfly.BaseAddress, path))
        {
            Headers = { { "X-Auth-Identity", sparkfly.Options.Identity }, { "X-Auth-Key", key } },
        };
    }

    [Test]
    public async Task Elsewhere_at_the_origin_the_root_auth_is_an_address_like_any_other_where_the_base_is_not_v1([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync(o => o with { AuthPath = "/v2/auth" });
        await using TestApp app = sparkfly.App(options => options.BaseAddress = new Uri(options.BaseAddress!, "/v2/"));
        ConcurrentQueue<Seen> seen = sparkfly.Record(static _ => false);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "/auth"));

        Assert.That(seen.Select(s => sparkfly.IsGood(s.Token)), Is.EqualTo((bool[])[true]), "with a token");
    }

    [Test]
    public async Task A_request_elsewhere_is_logged_at_Debug_by_its_origin_alone([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, new Uri(other.Address, "path?query=1"));

        string[] entries = [.. OurEntries(app).Where(static e => !e.Contains("[13]", StringComparison.Ordinal))];
        Assert.That(entries, Has.Length.EqualTo(1));
        Assert.That(entries[0], Does.StartWith("[Debug] Sparkfly.Auth.Handler[30]").And.Contain(other.Address.Root()).And.Not.Contain("query"));
    }

    [Test]
    public async Task A_request_to_another_of_Sparkflys_hosts_is_logged_once_at_Warning([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, new Network(_ => sparkfly.BaseAddress), "http://api-staging.sparkfly.com/v1.0/");
        using HttpClient client = app.Client();

        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage response = await client.GetAs(sending, "http://api.sparkfly.com/v1.0/offers");
            using HttpResponseMessage lookAlike = await client.GetAs(sending, "http://api.evilsparkfly.com/v1.0/offers");
        }

        string[] warnings = [.. OurEntries(app).Where(static e => e.StartsWith("[Warning]", StringComparison.Ordinal))];
        Assert.That(warnings, Has.Length.EqualTo(1), string.Join('\n', warnings));
        Assert.That(warnings[0], Does.Contain("[31]").And.Contain("http://api.sparkfly.com").And.Contain("http://api-staging.sparkfly.com"));
        Assert.That(OurEntries(app).Count(static e => e.StartsWith("[Debug]", StringComparison.Ordinal)), Is.EqualTo(5));
    }

    private static IEnumerable<string> OurEntries(TestApp app) => app.Log.Where(static e => e.Contains("] Sparkfly.Auth.Handler[", StringComparison.Ordinal));

    private static TestApp App(StandInServer sparkfly, Network network, string baseAddress) => new(services =>
    {
        services.AddSparkflyAuth(options =>
        {
            options.Use(sparkfly);
            options.BaseAddress = new Uri(baseAddress);
            options.AllowHttp = true;
        }).ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(network.Handler));
        services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(network.Handler);
    });
}
