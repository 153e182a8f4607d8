using System.Collections.Concurrent;
using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.2, where a handler between ours and the network follows redirects by itself, headers and all.</summary>
public class OriginGuardTests
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
        Assert.That(app.Log.Count(e => e.StartsWith("[Warning] Sparkfly.Auth.Handler[32]", StringComparison.Ordinal) && e.Contains(other.Address.Root())),
            Is.EqualTo(1), "that it was taken off is logged, with where it would have gone");
    }

    [Test]
    public async Task A_chain_that_it_follows_out_and_back_comes_back_without_the_token([Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = context => context.RedirectTo(307, new Uri(sparkfly.BaseAddress, "offers").AbsoluteUri);
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = App(sparkfly, following);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(home.Select(static s => s.Token is not null), Is.EqualTo((bool[])[true, false]));
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
        string[] secondSend = following == Following.SameMessage ? ["/v1.0/offers"] : ["/v1.0/moved", "/v1.0/offers"];
        Assert.That(home.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/moved", "/v1.0/offers", .. secondSend]), "from the caller's own message on");
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
    public async Task A_message_that_was_sent_elsewhere_with_the_callers_own_token_is_guarded_like_any_other_when_it_goes_home(
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

    /// <summary>Where somebody has put a second value beside ours, ours is found all the same.</summary>
    [Test]
    public async Task A_token_among_other_values_does_not_leave_either([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App(client: client => client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
        {
            request.RequestUri = other.Address;
            request.Headers.TryAddWithoutValidation("X-Auth-Token", "another");
            return send(request);
        })));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(other.Requests.Single().Token, Is.Null);
    }

    private static TestApp App(StandInServer sparkfly, Following following) => sparkfly.App(client: client => FollowByItself(client, following));

    // Such handlers have the primary handler's redirects turned off: else the answer never gets up to them.
    private static void FollowByItself(IHttpClientBuilder client, Following following) => client
        .ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { AllowAutoRedirect = false })
        .AddHttpMessageHandler(() => new RedirectingHandler(following));
}
