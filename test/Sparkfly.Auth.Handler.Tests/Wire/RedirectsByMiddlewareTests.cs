using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 4.1 and 6.1, where other middleware follows redirects, headers and all, or polls: each message that it sends is judged by itself.</summary>
public class RedirectsByMiddlewareTests
{
    [Test]
    public async Task A_handler_in_between_that_follows_a_redirect_elsewhere_arrives_without_the_token_and_a_401_there_renews_nothing(
        [Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", new Uri(other.Address, "/target").AbsoluteUri);
        await using TestApp app = App(sparkfly, following);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(home.Single().Token, Is.Not.Null);
        Assert.That(other.Requests.Single().Url, Is.EqualTo("/target"));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
        Assert.That(app.Log.Count(e => e.StartsWith("[Debug] Sparkfly.Auth.Handler[30]", StringComparison.Ordinal) && e.Contains(other.Address.Root())),
            Is.EqualTo(1), "that it leaves without a token is logged, with where it goes");
    }

    [Test]
    public async Task A_message_that_another_host_leads_back_to_Sparkfly_is_a_request_to_Sparkfly_and_has_the_token([Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = context => context.RedirectTo(307, new Uri(sparkfly.BaseAddress, "offers").AbsoluteUri);
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = App(sparkfly, following);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => s.Token is not null), Is.EqualTo((bool[])[true, true]));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_redirect_that_it_follows_within_the_origin_keeps_the_token_and_a_401_there_renews_it(
        [Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", "offers");
        await using TestApp app = App(sparkfly, following);
        using HttpClient client = app.Client();
        using HttpResponseMessage first = await client.GetAs(sending, "moved");
        Assert.That(first.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        sparkfly.RevokeTokens();
        home.Clear();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/moved", "/v1.0/offers", "/v1.0/offers"]), "the message that was answered 401");
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task The_callers_own_token_on_a_request_elsewhere_goes_where_that_handler_takes_it(
        [Values(Following.SameMessage, Following.Copy, Following.CopyWithOptions)] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using RecordingServer third = await RecordingServer.StartAsync();
        other.Answer = context => context.RedirectTo(307, third.Address.AbsoluteUri);
        await using TestApp app = App(sparkfly, following);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, other.Address) { Headers = { { "X-Auth-Token", ["its-own", "another"] } } };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(third.Requests.Single().Token, Does.StartWith("its-own").And.EndWith("another"));
    }

    [Test]
    public async Task A_message_that_was_sent_elsewhere_with_the_callers_own_token_is_like_any_other_when_it_goes_to_Sparkfly(
        [Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = App(sparkfly, following);

        // A fail-over handler outside: first elsewhere, then home, with one message.
        using var client = new HttpMessageInvoker(new InlineHandler((request, send) =>
        {
            using HttpResponseMessage first = Wait(send(request));
            request.RequestUri = new Uri(sparkfly.BaseAddress, "moved");
            return send(request);
        })
        {
            InnerHandler = app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("api"),
        });
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        using var request = new HttpRequestMessage(HttpMethod.Get, other.Address) { Headers = { { "X-Auth-Token", "its-own" } } };

        using HttpResponseMessage response = sending == Sending.Async
            ? await client.SendAsync(request, CancellationToken.None).WaitAsync(TestApp.Patience)
            : await Task.Run(() => client.Send(request, CancellationToken.None)).WaitAsync(TestApp.Patience);

        Assert.That(other.Requests.Select(static s => s.Token), Is.EqualTo((string?[])["its-own", null]));

        static HttpResponseMessage Wait(Task<HttpResponseMessage> task) => Task.Run(() => task).GetAwaiter().GetResult();
    }

    /// <summary>Rule 6.1: an account's token goes to that account's origin, also where several accounts are called through one client.</summary>
    [Test]
    public async Task Of_two_accounts_each_token_goes_to_its_own_origin_only([Values] Following following, [Values] Sending sending)
    {
        await using StandInServer one = await Sparkfly.StartAsync();
        await using StandInServer two = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> atOne = one.Record(static _ => false);
        ConcurrentQueue<Seen> atTwo = two.Record(context =>
        {
            bool isAway = context.Request.Path == "/v1.0/away";
            if (isAway || context.Request.Path == "/v1.0/moved")
            {
                context.RedirectTo(307, isAway ? new Uri(one.BaseAddress, "offers").AbsoluteUri : "offers");
                return true;
            }

            return false;
        });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(one));
            services.AddSparkflyAuth("two", options => options.Use(two));
            FollowByItself(services.AddHttpClient("api").AddSparkflyAuthHandler(), following);
        });
        using HttpClient client = app.Client();

        foreach (string path in (string[])["moved", "away"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(two.BaseAddress, path));
            request.SetSparkflyAccount("two");
            using HttpResponseMessage response = await client.SendAs(sending, request);
            Assert.That(response.StatusCode, Is.EqualTo(path == "moved" ? HttpStatusCode.OK : HttpStatusCode.Unauthorized), path);
        }

        Assert.That(atTwo.Select(static s => s.Token), Has.All.Not.Null);
        Assert.That(atOne.Select(static s => s.Token), Is.EqualTo((string?[])[null]));
    }

    /// <summary>Rules 6.1 and 6.8: a header of the same name that is not ours is none of our business, whoever has put it on, and when.</summary>
    [Test]
    public async Task A_handler_in_between_may_put_on_another_services_token([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App(client: static client => client.AddHttpMessageHandler(static () => new InlineHandler((request, send) =>
        {
            request.Headers.Remove("X-Auth-Token");
            request.Headers.Add("X-Auth-Token", "another service's");
            return send(request);
        })));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, other.Address);

        Assert.That(other.Requests.Single().Token, Is.EqualTo("another service's"));
    }

    [Test]
    public async Task A_handler_that_sends_the_message_elsewhere_sends_its_own_header_and_no_token_of_ours([Values] bool isSentHomeFirst, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App(client: client => client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
        {
            if (isSentHomeFirst)
            {
                using HttpResponseMessage first = send(request).GetAwaiter().GetResult();
            }

            request.RequestUri = other.Address;
            request.Headers.TryAddWithoutValidation("X-Auth-Token", "another");
            return send(request);
        })));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(other.Requests.Single().Token, Is.EqualTo("another"));
    }

    /// <summary>Rule 4.1: what the service has accepted is not sent again, whoever goes on from there.</summary>
    [Test]
    public async Task A_POST_that_was_answered_303_is_not_sent_again_when_the_GET_that_follows_is_answered_401(
        [Values] Following following, [Values] Stands stands, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = Orders(sparkfly, static context => context.RedirectTo(303, "offers"));
        await using TestApp app = App(sparkfly, stands, () => new RedirectingHandler(following));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Post, "orders") { Content = new StringContent("an order") };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(
            home.Select(static s => $"{s.Method} {s.Url} {s.Text()}"),
            Is.EqualTo((string[])["POST /v1.0/orders an order", "GET /v1.0/offers ", "GET /v1.0/offers "]));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_POST_that_was_answered_202_is_not_sent_again_when_a_poll_of_its_outcome_is_answered_401(
        [Values] Stands stands, [Values] bool isSameMessage, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = Orders(sparkfly, static context =>
        {
            context.RedirectTo(202, "/v1.0/offers");
            return Task.CompletedTask;
        });
        await using TestApp app = App(sparkfly, stands, () => new InlineHandler((request, send) => PollAsync(request, send, isSameMessage)));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Post, "orders") { Content = new StringContent("an order") };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(
            home.Select(static s => $"{s.Method} {s.Url} {s.Text()}"),
            Is.EqualTo((string[])["POST /v1.0/orders an order", "GET /v1.0/offers ", "GET /v1.0/offers "]));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(2));

        static async Task<HttpResponseMessage> PollAsync(
            HttpRequestMessage request, Func<HttpRequestMessage, Task<HttpResponseMessage>> send, bool isSameMessage)
        {
            HttpResponseMessage response = await send(request);
            if (response.StatusCode != HttpStatusCode.Accepted)
            {
                return response;
            }

            var target = new Uri(request.RequestUri!, response.Headers.Location!);
            response.Dispose();
            if (!isSameMessage)
            {
                var poll = new HttpRequestMessage(HttpMethod.Get, target);
                foreach ((string name, IEnumerable<string> values) in request.Headers)
                {
                    poll.Headers.TryAddWithoutValidation(name, values);
                }

                return await send(poll);
            }

            (request.Method, request.RequestUri, request.Content) = (HttpMethod.Get, target, null);
            return await send(request);
        }
    }

    /// <summary>Rule 6.1, where the BaseAddress changes by a reload: what was Sparkfly's origin before is one like any other.</summary>
    [Test]
    public async Task A_redirect_from_a_new_BaseAddress_to_the_former_one_carries_no_token([Values] bool isByMiddleware, [Values] Sending sending)
    {
        await using StandInServer former = await Sparkfly.StartAsync();
        await using StandInServer current = await Sparkfly.StartAsync(o => o with { Identity = former.Options.Identity, Key = former.Options.Key });
        ConcurrentQueue<Seen> atFormer = former.Record(static _ => false);
        ConcurrentQueue<Seen> atCurrent = current.Redirect("/v1.0/moved", new Uri(former.BaseAddress, "offers").AbsoluteUri);
        IConfigurationRoot configuration = Configured.For(former);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(configuration.GetSection("Sparkfly"));
            IHttpClientBuilder client = services.AddHttpClient("api").AddSparkflyAuthHandler();
            if (isByMiddleware)
            {
                FollowByItself(client, Following.Copy);
            }
        });
        using HttpClient client = app.Client();
        using (HttpResponseMessage before = await client.GetAs(sending, "offers"))
        {
            Assert.That(before.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        configuration["Sparkfly:BaseAddress"] = current.BaseAddress.AbsoluteUri;
        configuration.Reload();
        using HttpResponseMessage response = await client.GetAs(sending, new Uri(current.BaseAddress, "moved"));

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(current.IsGood(atCurrent.Single().Token), Is.True);
        Assert.That(atFormer.Select(static s => s.Token is not null), Is.EqualTo((bool[])[true, false]), "before the reload, and after it");
        Assert.That((former.TokenRequests, current.TokenRequests), Is.EqualTo((1, 1)), "a 401 from elsewhere renews nothing");
    }

    /// <summary>Where other middleware stands.</summary>
    public enum Stands
    {
        BeforeOurs,
        AfterOurs,
        InThePrimaryChain,
    }

    private static TestApp App(StandInServer sparkfly, Following following) => sparkfly.App(client: client => FollowByItself(client, following));

    private static TestApp App(StandInServer sparkfly, Stands stands, Func<DelegatingHandler> middleware) => new(services =>
    {
        services.AddSparkflyAuth(options => options.Use(sparkfly));
        IHttpClientBuilder client = services.AddHttpClient("api")
            .ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { AllowAutoRedirect = false });
        switch (stands)
        {
            case Stands.BeforeOurs:
                client.AddHttpMessageHandler(middleware).AddSparkflyAuthHandler();
                break;
            case Stands.AfterOurs:
                client.AddSparkflyAuthHandler().AddHttpMessageHandler(middleware);
                break;
            default:
                client.AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() =>
                {
                    DelegatingHandler chain = middleware();
                    chain.InnerHandler = new SocketsHttpHandler { AllowAutoRedirect = false };
                    return chain;
                });
                break;
        }
    });

    /// <summary>Accepts orders, with an answer that leads to /offers, and takes the token back once it has.</summary>
    private static ConcurrentQueue<Seen> Orders(StandInServer sparkfly, Func<HttpContext, Task> accept) => sparkfly.Record(context =>
    {
        if (context.Request.Path != "/v1.0/orders")
        {
            return false;
        }

        sparkfly.RevokeTokens();
        accept(context);
        return true;
    });

    // Such handlers have the primary handler's redirects turned off: else the answer never gets up to them.
    private static void FollowByItself(IHttpClientBuilder client, Following following) => client
        .ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { AllowAutoRedirect = false })
        .AddHttpMessageHandler(() => new RedirectingHandler(following));
}
