using System.Collections.Concurrent;
using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.8: the handler on every client of an application is safe.</summary>
public class ClientDefaultsTests
{
    /// <summary>How it gets there.</summary>
    public enum Way
    {
        AddSparkflyAuthHandler,
        AddHttpMessageHandler,
    }

    [Test]
    public async Task With_the_handler_in_defaults_only_Sparkfly_gets_tokens([Values] Way way, [Values] bool isBefore, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        await using TestApp app = App(sparkfly, way, isBefore);
        using HttpClient client = app.Client();
        using HttpClient unnamed = app.Client("");

        using HttpResponseMessage own = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));
        using HttpResponseMessage ownToo = await unnamed.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));
        using HttpResponseMessage foreign = await client.GetAs(sending, other.Address);

        Assert.That((own.StatusCode, ownToo.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.OK)));
        Assert.That(home.Select(static s => s.Token), Is.All.Not.Null);
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task The_token_request_does_not_wait_for_itself([Values] Way way, [Values] bool isBefore, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, way, isBefore);
        using HttpClient client = app.Client();
        Task<HttpResponseMessage> sent = client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));

        using HttpResponseMessage response = await sent.WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task No_base_address_is_forced_on_other_clients([Values] Way way, [Values] bool isBefore)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, way, isBefore);
        using HttpClient client = app.Client();

        Assert.That(client.BaseAddress, Is.Null);
    }

    [Test]
    public async Task A_client_with_the_handler_from_defaults_and_its_own_has_one([Values] Way way, [Values] bool isBefore, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        sparkfly.Record(static context =>
        {
            context.Response.StatusCode = 401;
            return true;
        });
        await using TestApp app = App(sparkfly, way, isBefore);
        using HttpClient client = app.Client("own");

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(client.BaseAddress, Is.EqualTo(sparkfly.BaseAddress));
        Assert.That(sparkfly.ApiRequests, Is.EqualTo(2), "once and once more; two handlers make four");
    }

    /// <summary>Rules 6.1 and 6.4: Sparkfly's cookies are not kept, and those of the hosts that other clients call are left alone.</summary>
    [Test]
    public async Task A_client_of_another_service_keeps_its_cookies([Values] Way way, [Values] bool isBefore, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = static context =>
        {
            context.Response.Headers.SetCookie = context.Request.Path == "/login" ? (string[])["session=17; path=/", "=no cookie"] : default;
            return context.Request.Path == "/login" ? context.RedirectTo(302, "/home") : Task.CompletedTask;
        };
        await using TestApp app = App(sparkfly, way, isBefore);
        using HttpClient client = app.Client();
        using HttpResponseMessage login = await client.GetAs(sending, new Uri(other.Address, "/login"));
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(other.Address, "/next")) { Headers = { { "Cookie", "own=1" } } };

        using HttpResponseMessage next = await client.SendAs(sending, request);
        using HttpResponseMessage own = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));
        using HttpResponseMessage ownAgain = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));

        Assert.That(other.Requests.Select(static s => s.Headers.GetValueOrDefault("Cookie")), Is.EqualTo((string?[])[null, "session=17", "own=1; session=17"]));
        Assert.That(request.Headers.GetValues("Cookie"), Is.EqualTo((string[])["own=1"]), "as the caller has put it on");
        Assert.That(home.Select(static s => s.Headers.GetValueOrDefault("Cookie")), Is.EqualTo((string?[])[null, null]));
    }

    [Test]
    public async Task A_token_request_never_carries_a_token_even_where_its_own_client_was_given_the_handler([Values] Way way)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync(static o => o with { AuthPath = "/named/auth" });
        string? sent = "";
        sparkfly.OnTokenRequest = context =>
        {
            sent = context.Request.Headers["X-Auth-Token"];
            return Task.FromResult(false);
        };
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<ISparkflyTokenProvider>(new FixedTokens());
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            services.AddSparkflyAuth("named", options =>
            {
                options.Use(sparkfly);
                options.AuthEndpoint = new Uri(sparkfly.BaseAddress, "/named/auth");
            }).ConfigureAuthClient(client => _ = way == Way.AddSparkflyAuthHandler
                ? client.AddSparkflyAuthHandler()
                : client.AddHttpMessageHandler<SparkflyAuthHandler>());
        });

        await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("named").GetTokenAsync();

        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
        Assert.That(sent, Is.Null, "not even the default account's, which has the same origin");
    }

    private static TestApp App(StandInServer sparkfly, Way way, bool isBefore) => new(services =>
    {
        if (isBefore)
        {
            AddDefaults(services, way);
        }

        services.AddSparkflyAuth(options => options.Use(sparkfly)).ConfigureAuthClient(static _ => { });
        services.AddHttpClient("api");
        services.AddHttpClient("own").AddSparkflyAuthHandler();
        if (!isBefore)
        {
            AddDefaults(services, way);
        }
    });

    private static void AddDefaults(IServiceCollection services, Way way) => services.ConfigureHttpClientDefaults(client =>
    {
        if (way == Way.AddSparkflyAuthHandler)
        {
            client.AddSparkflyAuthHandler();
        }
        else
        {
            client.AddHttpMessageHandler<SparkflyAuthHandler>();
        }
    });
}
