using System.Collections.Concurrent;
using System.Net;
using System.Text;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.2: redirects are followed, and the token goes to Sparkfly alone, and not at all once a chain has left its origin.</summary>
public class RedirectTests
{
    [Test]
    public async Task A_redirect_to_another_origin_is_followed_without_the_token_whatever_the_primary_handler(
        [Values(300, 301, 302, 303, 307, 308)] int status, [Values] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = static context => context.Response.Body.WriteAsync("from elsewhere"u8.ToArray()).AsTask();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", new Uri(other.Address, "/target").AbsoluteUri, status);
        await using TestApp app = sparkfly.App(client: client => client.Use(primary));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("from elsewhere"));
        Assert.That(home.Single().Token, Is.Not.Null);
        Assert.That(other.Requests.Single().Url, Is.EqualTo("/target"));
        Assert.That(other.Requests.Single().Token, Is.Null);
    }

    [Test]
    public async Task A_redirect_within_the_origin_keeps_the_token([Values] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", "offers");
        await using TestApp app = sparkfly.App(client: client => client.Use(primary));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/moved", "/v1.0/offers"]));
    }

    [Test]
    public async Task A_chain_that_leaves_and_comes_back_comes_without_the_token_and_its_401_renews_nothing(
        [Values] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = context => context.RedirectTo(307, new Uri(sparkfly.BaseAddress, "offers").AbsoluteUri);
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App(client: client => client.Use(primary));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(home.Select(static s => (s.Url, s.Token is not null)), Is.EqualTo(((string, bool)[])[("/v1.0/moved", true), ("/v1.0/offers", false)]));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_401_from_a_redirects_target_elsewhere_renews_nothing([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests, other.Requests.Count), Is.EqualTo((1, 1, 1)));
    }

    /// <summary>Rule 4.1, where a chain ends with a 401: the hop that was rejected is the request that is sent again.</summary>
    [Test]
    public async Task A_401_after_a_redirect_renews_and_sends_the_rejected_hop_again_but_not_the_POST_that_was_accepted([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/orders", "/v1.0/orders/1", 303);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using HttpResponseMessage warm = await client.GetAs(sending, "offers");
        sparkfly.RevokeTokens();
        home.Clear();
        using var request = new HttpRequestMessage(HttpMethod.Post, "orders") { Content = new StringContent("an order") };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Seen[] seen = [.. home];
        Assert.That(seen.Select(static s => $"{s.Method} {s.Url}"), Is.EqualTo((string[])
            ["POST /v1.0/orders", "GET /v1.0/orders/1", "GET /v1.0/orders/1"]));
        Assert.That(seen[1].Without("X-Auth-Token"), Is.EqualTo(seen[2].Without("X-Auth-Token")), "the same request");
        Assert.That(seen[2].Token, Is.Not.EqualTo(seen[1].Token), "with a new token");
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(2));
    }

    /// <summary>The second send is the first, also in what the platform cannot parse.</summary>
    [Test]
    public async Task The_second_send_has_the_callers_own_Authorization(
        [Values("Basic eDp5", "abc:def/==")] string authorization, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using HttpResponseMessage warm = await client.GetAs(sending, "offers");
        sparkfly.RevokeTokens();
        home.Clear();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        request.Headers.TryAddWithoutValidation("Authorization", authorization);

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => s.Headers["Authorization"]), Is.EqualTo((string[])[authorization, authorization]));
    }

    /// <summary>Rule 6.2, as the platform does it: handlers in between send once, whatever chain follows.</summary>
    [Test]
    public async Task A_handler_in_between_sees_one_request_and_the_last_answer_of_a_chain([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", "offers");
        var passed = new ConcurrentQueue<HttpStatusCode>();
        await using TestApp app = sparkfly.App(client: client => client.AddHttpMessageHandler(() => new InlineHandler(async (request, send) =>
        {
            request.Headers.Add("X-Signature", "once");
            HttpResponseMessage answer = await send(request);
            passed.Enqueue(answer.StatusCode);
            return answer;
        })));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(passed, Is.EqualTo((HttpStatusCode[])[HttpStatusCode.OK]));
        Assert.That(home.Select(static s => s.Headers["X-Signature"]), Is.EqualTo((string[])["once", "once"]), "one value a hop");
    }

    [Test]
    public async Task An_application_that_turned_redirects_off_gets_the_3xx([Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary == Primary.Sockets
            ? new SocketsHttpHandler { AllowAutoRedirect = false }
            : new HttpClientHandler { AllowAutoRedirect = false }));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.TemporaryRedirect));
        Assert.That(other.Requests, Is.Empty);
    }

    [Test]
    public async Task MaxAutomaticRedirections_is_kept_to([Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/loop", "loop");
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary == Primary.Sockets
            ? new SocketsHttpHandler { MaxAutomaticRedirections = 2 }
            : new HttpClientHandler { MaxAutomaticRedirections = 2 }));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "loop");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.TemporaryRedirect));
        Assert.That(home, Has.Count.EqualTo(3));
    }

    [Test]
    public async Task Https_leads_to_https_without_the_token_and_to_http_not_at_all([Values] Sending sending)
    {
        await using RecordingServer sparkfly = await RecordingServer.StartAsync(isHttps: true);
        await using RecordingServer other = await RecordingServer.StartAsync(isHttps: true);
        await using RecordingServer plain = await RecordingServer.StartAsync();
        sparkfly.Answer = context => context.RedirectTo(302, (context.Request.Path == "/plain" ? plain : other).Address.AbsoluteUri);
        var tokens = new FixedTokens();
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<ISparkflyTokenProvider>(tokens);
            services.AddSparkflyAuth(options =>
                (options.BaseAddress, options.Identity, options.Key) = (sparkfly.Address, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")));
            services.AddHttpClient("api").AddSparkflyAuthHandler()
                .ConfigurePrimaryHttpMessageHandler(new Network(asked => new UriBuilder("http", asked.Host, asked.Port).Uri).Handler);
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage followed = await client.GetAs(sending, "other");
        using HttpResponseMessage refused = await client.GetAs(sending, "plain");

        Assert.That(followed.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(refused.StatusCode, Is.EqualTo(HttpStatusCode.Found));
        Assert.That(sparkfly.Requests.Select(static s => s.Token), Is.All.EqualTo(tokens.Token.Value));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(plain.Requests, Is.Empty);
    }

    [Test]
    public async Task A_body_that_can_be_sent_again_arrives_at_the_target_with_the_same_bytes(
        [Values(307, 308)] int status, [Values("text", "seekable", "one-way")] string kind, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri, status);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        byte[] body = Encoding.UTF8.GetBytes("what is posted, ü");
        using var request = new HttpRequestMessage(HttpMethod.Post, "moved")
        {
            Content = kind switch
            {
                "text" => new StringContent("what is posted, ü"),
                "seekable" => new StreamContent(new MemoryStream(body)),
                _ => new StreamContent(new OneWayStream(body)),
            },
        };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Single().Body, Is.EqualTo(Convert.ToHexString(body)));
        Assert.That(other.Requests.Single().Without("X-Auth-Token", "Host"), Is.EqualTo((home.Single() with { Url = "/" }).Without("X-Auth-Token", "Host")));
    }

    [Test]
    public async Task A_body_that_cannot_be_sent_again_stays_home_and_the_3xx_goes_to_the_caller([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App(static options => options.MaxReplayBodySize = 3);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Put, "moved") { Content = new StreamContent(new OneWayStream("more than three bytes"u8.ToArray())) };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.TemporaryRedirect));
        Assert.That(other.Requests, Is.Empty);
    }

    [Test]
    public async Task A_redirect_that_drops_the_body_is_followed_whatever_the_body([Values(301, 302, 303)] int status, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/orders", "/v1.0/orders/1", status);
        await using TestApp app = sparkfly.App(static options => options.MaxReplayBodySize = 0);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Post, "orders") { Content = new StreamContent(new OneWayStream("an order"u8.ToArray())) };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => $"{s.Method} {s.Url} {s.Text()}"), Is.EqualTo((string[])["POST /v1.0/orders an order", "GET /v1.0/orders/1 "]));
    }

    [Test]
    public async Task Credentials_of_the_primary_handler_go_to_redirect_targets_as_the_platform_gives_them(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] bool isCache, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = Challenge;
        ConcurrentQueue<Seen> home = sparkfly.Record(context =>
        {
            // As a gateway in front of Sparkfly might.
            Challenge(context);
            if (context.Response.StatusCode == 200)
            {
                context.RedirectTo(302, other.Address.AbsoluteUri);
            }

            return true;
        });
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => NewHandler()));
        using HttpClient client = app.Client();
        using var bare = new HttpClient(NewHandler()) { BaseAddress = sparkfly.BaseAddress };

        using HttpResponseMessage response = await client.GetAs(sending, "moved");
        string[] ours = [.. home.Concat(other.Requests).Select(static s => s.Without("X-Auth-Token"))];
        Assert.That(other.Requests.Select(static s => s.Token), Is.All.Null);
        home.Clear();
        other.Clear();
        using HttpResponseMessage platforms = await bare.GetAs(sending, "moved");

        Assert.That(ours, Is.EqualTo(home.Concat(other.Requests).Select(static s => s.Without("X-Auth-Token"))));
        Assert.That(response.StatusCode, Is.EqualTo(platforms.StatusCode).And.EqualTo(isCache ? HttpStatusCode.OK : HttpStatusCode.Unauthorized));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));

        HttpMessageHandler NewHandler()
        {
            var own = new NetworkCredential("user", "password");
            ICredentials credentials = !isCache ? own
                : new CredentialCache { { sparkfly.BaseAddress, "Basic", own }, { other.Address, "Basic", own } };
            return primary == Primary.Sockets
                ? new SocketsHttpHandler { Credentials = credentials, UseCookies = false }
                : new HttpClientHandler { Credentials = credentials, UseCookies = false };
        }

        static Task Challenge(Microsoft.AspNetCore.Http.HttpContext context)
        {
            bool isGood = context.Request.Headers.Authorization.ToString().StartsWith("Basic ", StringComparison.Ordinal);
            context.Response.StatusCode = isGood ? 200 : 401;
            context.Response.Headers.WWWAuthenticate = isGood ? default : "Basic realm=\"x\"";
            return Task.CompletedTask;
        }
    }
}
