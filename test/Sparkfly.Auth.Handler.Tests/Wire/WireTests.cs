using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 1: what is on the wire.</summary>
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
                "traceparent: 00-trace-span-01",
                "Content-Length: 0"]));
    }

    [Test]
    public async Task The_token_request_is_empty_over_HTTP_2_too_and_says_so()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { Protocols = HttpProtocols.Http2 });
        (string Protocol, long? Length, string? Type, string? TransferEncoding) seen = default;
        server.OnTokenRequest = context =>
        {
            seen = (context.Request.Protocol, context.Request.ContentLength, context.Request.ContentType, context.Request.Headers.TransferEncoding);
            return Task.FromResult(false);
        };
        await using var app = new TestApp(services => services.AddSparkflyAuth(options => options.Use(server))
            .ConfigureAuthClient(static auth => auth.ConfigureHttpClient(static client =>
            {
                client.DefaultRequestVersion = HttpVersion.Version20;
                client.DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact;
            })));

        await app.Tokens.GetTokenAsync();

        Assert.That(seen, Is.EqualTo(("HTTP/2", (long?)0, (string?)null, (string?)null)), "protocol, Content-Length, Content-Type, Transfer-Encoding");
    }

    /// <summary>Rule 5.7: a stale pooled connection is the platform's to retry, since the token request has no content.</summary>
    [TestCase(false, 3, Description = "it closes when the next request has come, and does not answer: the platform sends that again")]
    [TestCase(true, null, Description = "it closes at once: the platform may see that in time, and otherwise sends again")]
    public async Task A_token_request_on_a_pooled_connection_that_the_server_has_closed_fails_no_call(bool isClosedIdle, int? requests)
    {
        int count = 0;
        await using var server = new WireServer(_ => Interlocked.Increment(ref count) == 2 && !isClosedIdle
            ? null
            : WireServer.NoContent($"X-Auth-Token: {SecretSweep.NewSecret("token")}", "Connection: keep-alive"))
        {
            ClosesIdleConnections = isClosedIdle,
        };
        await using TestApp app = App(server, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));

        SparkflyToken first = await app.Tokens.GetTokenAsync();
        SparkflyToken second = await app.Tokens.RenewTokenAsync(first);

        Assert.That(second, Is.Not.SameAs(first));
        Assert.That(server.Heads, requests is { } expected ? Has.Count.EqualTo(expected) : Has.Count.InRange(2, 3));
        Assert.That(server.Heads.Select(static h => h.Split("\r\n")[0]), Is.All.EqualTo("POST /v1.0/auth HTTP/1.1"));
        Assert.That(server.Heads.Select(static h => h.Split("\r\n")), Is.All.Contains("Content-Length: 0"));
        Assert.That(app.Log.Where(static e => e.StartsWith("[Error]", StringComparison.Ordinal)), Is.Empty, "nobody is told of a failure");
    }

    /// <summary>Rules 4.4 and 6.1: spelling, order, framing.</summary>
    [Test]
    public async Task The_bytes_of_a_request_are_those_of_a_plain_client_but_for_the_token([Values] bool isToSparkfly)
    {
        await using WireServer server = TokenServer(out string token);
        await using var elsewhere = new WireServer(static _ => WireServer.NoContent());
        await using TestApp app = App(server, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
        await app.Tokens.GetTokenAsync();
        using var plain = new HttpClient(new SocketsHttpHandler());
        using HttpClient ours = app.Client();
        WireServer asked = isToSparkfly ? server : elsewhere;
        foreach (Body body in Bodies.All)
        {
            foreach (HttpClient client in (HttpClient[])[plain, ours])
            {
                using HttpContent content = body.Make();
                using var request = new HttpRequestMessage(HttpMethod.Put, new Uri(asked.BaseAddress, "offers?q=%C3%BC&q=2")) { Content = content };
                request.Headers.TryAddWithoutValidation("x-sPeLLed", "as The caller does");
                using HttpResponseMessage response = await client.SendAsync(request).WaitAsync(TestApp.Patience);
            }

            string[][] heads = [.. asked.Heads.TakeLast(2).Select(static h => (string[])[h.Split("\r\n")[0], .. WireServer.Fields(h)])];
            Assert.That(heads[1].Where(static f => !f.StartsWith("X-Auth-Token", StringComparison.Ordinal)), Is.EqualTo(heads[0]), body.Name);
            Assert.That(heads[1].Contains($"X-Auth-Token: {token}"), Is.EqualTo(isToSparkfly), body.Name);
            string[] bodies = [.. asked.Bodies.TakeLast(2).Select(b => body.CanBeSentSynchronously ? b : WithoutChunks(b))];
            Assert.That(bodies[1], Is.EqualTo(bodies[0]), body.Name);
        }

        // An asynchronous sequence is written in chunks as its items come.
        static string WithoutChunks(string body) => System.Text.RegularExpressions.Regex.Replace(body, "(^|\r\n)[0-9a-fA-F]+\r\n", "");
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
        Assert.That(WireServer.Fields(head), Is.EquivalentTo((string[])[$"Host: {server.BaseAddress.Authority}", $"X-Auth-Token: {token}", "traceparent: 00-trace-span-01"]));
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
