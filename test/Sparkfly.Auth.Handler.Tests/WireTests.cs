using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Section 1: what is on the wire.</summary>
public class WireTests
{
    [Test]
    public async Task The_token_request_is_an_empty_POST_to_auth_under_the_base_with_the_credentials_and_nothing_else()
    {
        await using WireServer server = TokenServer(out string _);
        (string identity, string key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
        await using TestApp app = App(server, identity, key);

        await app.Tokens.GetTokenAsync();

        string head = server.Heads.Single();
        Assert.That(head, Does.StartWith("POST /v1.0/auth HTTP/1.1\r\n"));
        Assert.That(
            WireServer.Fields(head),
            Is.EquivalentTo((string[])[
                $"Host: {server.BaseAddress.Authority}",
                "Accept: application/json",
                $"X-Auth-Identity: {identity}",
                $"X-Auth-Key: {key}",
                "Content-Length: 0"]));
    }

    [Test]
    public async Task Scope_and_ForwardedFor_are_sent_where_they_are_set()
    {
        await using WireServer server = TokenServer(out string _);
        await using TestApp app = App(server, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"), options =>
        {
            options.Scope = "offers:read offers:write";
            options.ForwardedFor = "203.0.113.7";
        });

        await app.Tokens.GetTokenAsync();

        string[] fields = WireServer.Fields(server.Heads.Single());
        Assert.That(fields, Has.One.EqualTo("X-Auth-Scope: offers:read offers:write"));
        Assert.That(fields, Has.One.EqualTo("X-Forwarded-For: 203.0.113.7"));
    }

    [Test]
    public async Task A_blank_Scope_or_ForwardedFor_is_not_sent()
    {
        await using WireServer server = TokenServer(out string _);
        await using TestApp app = App(server, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"), options =>
        {
            options.Scope = "";
            options.ForwardedFor = " ";
        });

        await app.Tokens.GetTokenAsync();

        Assert.That(server.Heads.Single(), Does.Not.Contain("X-Auth-Scope").And.Not.Contain("X-Forwarded-For"));
    }

    [Test]
    public async Task A_call_carries_the_token_as_X_Auth_Token_and_neither_key_nor_identity()
    {
        await using WireServer server = TokenServer(out string token);
        (string identity, string key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
        await using TestApp app = App(server, identity, key);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        string head = server.Heads.Last();
        Assert.That(head, Does.StartWith("GET /v1.0/offers HTTP/1.1\r\n"));
        Assert.That(WireServer.Fields(head), Is.EquivalentTo((string[])[$"Host: {server.BaseAddress.Authority}", $"X-Auth-Token: {token}"]));
    }

    [Test]
    public async Task Key_and_identity_are_on_token_requests_alone_also_when_a_401_is_replayed()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var values = new ConcurrentQueue<string>();
        server.OnApiRequest = context =>
        {
            foreach (string? value in context.Request.Headers.SelectMany(static h => h.Value))
            {
                values.Enqueue(value!);
            }

            return Task.FromResult(false);
        };
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage first = await client.GetAsync("offers");
        server.RevokeTokens();
        using HttpResponseMessage second = await client.GetAsync("offers");

        Assert.That(second.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(server.ApiRequests, Is.EqualTo(3));
        Assert.That(values, Has.None.Contains(server.Options.Key).And.None.Contains(server.Options.Identity));
    }

    [Test]
    public async Task The_API_description_s_Date_Cache_Control_and_cookies_do_no_harm()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var cookies = new ConcurrentQueue<string>();
        Task<bool> NoteCookies(HttpContext context)
        {
            cookies.Enqueue(context.Request.Headers.Cookie.ToString());
            return Task.FromResult(false);
        }

        server.OnTokenRequest = NoteCookies;
        server.OnApiRequest = NoteCookies;
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        SparkflyToken first = await app.Tokens.GetTokenAsync();
        await app.Tokens.RenewTokenAsync(first);
        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        Assert.That(server.TokenRequests, Is.EqualTo(2), "max-age=0 says nothing of the token");
        Assert.That(first.ObtainedAt, Is.EqualTo(app.Time.Start), "the Date of the answer is not asked");
        Assert.That(cookies, Has.Exactly(5).Items.And.All.Empty);
    }

    [TestCase(200)]
    [TestCase(201)]
    [TestCase(202)]
    [TestCase(204)]
    public async Task Any_2xx_with_a_token_is_a_success(int status)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = async context =>
        {
            server.AnswerWithToken(context);
            context.Response.StatusCode = status;
            if (status != StatusCodes.Status204NoContent)
            {
                await context.Response.WriteAsync("{}");
            }

            return true;
        };
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task Calls_one_after_another_share_one_connection_and_so_do_token_requests()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var calls = new ConcurrentDictionary<string, int>();
        var tokenRequests = new ConcurrentDictionary<string, int>();
        server.OnApiRequest = context => Count(context, calls);
        server.OnTokenRequest = context => Count(context, tokenRequests);
        await using TestApp app = server.App(options => options.UnauthorizedRefreshInterval = TimeSpan.Zero);

        for (int i = 0; i < 3; i++)
        {
            using HttpClient client = app.Client();
            using HttpResponseMessage response = await client.GetAsync("offers");
            server.RevokeTokens();
        }

        Assert.That(calls.Values, Is.EqualTo((int[])[5]), "three calls, two of them sent again");
        Assert.That(tokenRequests.Values, Is.EqualTo((int[])[3]));

        static Task<bool> Count(HttpContext context, ConcurrentDictionary<string, int> connections)
        {
            connections.AddOrUpdate(context.Connection.Id, 1, static (_, count) => count + 1);
            return Task.FromResult(false);
        }
    }

    private static WireServer TokenServer(out string token)
    {
        string issued = token = SecretSweep.NewSecret("token");
        return new WireServer(head => head.StartsWith("POST /v1.0/auth", StringComparison.Ordinal)
            ? WireServer.NoContent($"X-Auth-Token: {issued}", "Date: 2026-01-01T00:00:00Z")
            : WireServer.NoContent());
    }

    private static TestApp App(WireServer server, string identity, string key, Action<SparkflyAuthOptions>? configure = null) => new(services =>
    {
        services.AddSparkflyAuth(options =>
        {
            options.BaseAddress = server.BaseAddress;
            options.Identity = identity;
            options.Key = key;
            configure?.Invoke(options);
        });
        services.AddHttpClient("api").AddSparkflyAuthHandler();
    });
}
