using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.2, whatever the application puts in place of the primary handler; and rule 6.4's cookies of API clients.</summary>
public class PrimaryHandlerTests
{
    [Test]
    public async Task A_primary_handler_that_has_been_used_is_a_clear_error_and_gets_no_token(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        using HttpMessageHandler used = primary == Primary.Sockets ? new SocketsHttpHandler() : new HttpClientHandler();
        await UseOnceAsync(used, other.Address);
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => Wrapped(used)));
        using HttpClient client = app.Client();

        for (int i = 0; i < 2; i++)
        {
            Assert.That(
                async () => (await client.GetAs(sending, "offers")).Dispose(),
                Throws.InvalidOperationException.With.Message.Contains(used.GetType().Name).And.Message.Contains("AllowAutoRedirect"));
        }

        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((0, 0)));
    }

    /// <summary>Rule 6.4: a token request follows no redirect and keeps no cookies, also where the application's container holds some.</summary>
    [Test]
    public async Task A_used_primary_handler_of_the_token_request_that_follows_or_keeps_is_a_clear_error_and_gets_no_key(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values("redirects", "cookies", "both")] string what)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        var cookies = new CookieContainer();
        cookies.Add(new Uri("http://elsewhere.test"), new Cookie("affinity", "node-7"));
        using HttpMessageHandler used = primary == Primary.Sockets
            ? new SocketsHttpHandler { AllowAutoRedirect = what != "cookies", UseCookies = what != "redirects", CookieContainer = cookies }
            : new HttpClientHandler { AllowAutoRedirect = what != "cookies", UseCookies = what != "redirects", CookieContainer = cookies };
        await UseOnceAsync(used, other.Address);
        await using var app = new TestApp(services => services.AddSparkflyAuth(options => options.Use(sparkfly))
            .ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(() => Wrapped(used))));

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain(used.GetType().Name).And.Contain("UseCookies"));
        Assert.That(sparkfly.TokenRequests, Is.Zero);
    }

    [Test]
    public async Task A_used_primary_handler_that_was_safe_already_works(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        using HttpMessageHandler used = primary == Primary.Sockets
            ? new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }
            : new HttpClientHandler { AllowAutoRedirect = false, UseCookies = false };
        await UseOnceAsync(used, other.Address);
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => Wrapped(used)));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_primary_handler_that_clients_share_works_in_each_and_keeps_its_redirect_policy(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        using HttpMessageHandler shared = primary == Primary.Sockets
            ? new SocketsHttpHandler { MaxAutomaticRedirections = 2 }
            : new HttpClientHandler { MaxAutomaticRedirections = 2 };
        ConcurrentQueue<Seen> home = sparkfly.Record(context =>
        {
            context.RedirectTo(307, context.Request.Path == "/v1.0/moved" ? other.Address.AbsoluteUri : "loop");
            return true;
        });
        await using TestApp app = sparkfly.App(client: client =>
        {
            client.ConfigurePrimaryHttpMessageHandler(() => shared);
            client.Services.AddHttpClient("second").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => shared);
        });

        // The second client's pipeline is what a rotated one is: new handlers of ours over the same primary handler.
        foreach (string name in (string[])["api", "second"])
        {
            using HttpClient client = app.Client(name);
            home.Clear();
            other.Clear();
            using HttpResponseMessage looped = await client.GetAs(sending, "loop");
            using HttpResponseMessage moved = await client.GetAs(sending, "moved");

            Assert.That(looped.StatusCode, Is.EqualTo(HttpStatusCode.TemporaryRedirect), name);
            Assert.That(home, Has.Count.EqualTo(4), $"{name}: three hops of the loop, one of the move");
            Assert.That(home.Select(static s => s.Token), Is.All.Not.Null, name);
            Assert.That(moved.StatusCode, Is.EqualTo(HttpStatusCode.OK), name);
            Assert.That(other.Requests.Single().Token, Is.Null, name);
        }
    }

    [Test]
    public async Task A_primary_handler_outlives_the_rotation_of_its_pipeline([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App();
        using var shared = new SocketsHttpHandler();
        for (int rotation = 0; rotation < 3; rotation++)
        {
            SparkflyAuthHandler handler = app.Services.GetRequiredService<SparkflyAuthHandler>();
            handler.InnerHandler = shared;
            using var client = new HttpClient(handler, disposeHandler: false) { BaseAddress = sparkfly.BaseAddress };

            using HttpResponseMessage response = await client.GetAs(sending, "moved");

            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"rotation {rotation}");
        }

        Assert.That(other.Requests.Select(static s => s.Token), Is.EqualTo((string?[])[null, null, null]));
    }

    [Test]
    public async Task A_chain_of_handlers_that_clients_of_two_accounts_share_as_primary_serves_both_and_leaks_nothing([Values] Sending sending)
    {
        await using StandInServer first = await Sparkfly.StartAsync();
        await using StandInServer second = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> atFirst = first.Redirect("/v1.0/moved", new Uri(second.BaseAddress, "offers").AbsoluteUri);
        ConcurrentQueue<Seen> atSecond = second.Redirect("/v1.0/moved", new Uri(first.BaseAddress, "offers").AbsoluteUri);
        using var shared = new RedirectingHandler(Following.Copy) { InnerHandler = new SocketsHttpHandler() };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth("first", options => options.Use(first));
            services.AddSparkflyAuth("second", options => options.Use(second));
            services.AddHttpClient("first").AddSparkflyAuthHandler("first").ConfigurePrimaryHttpMessageHandler(() => shared);
            services.AddHttpClient("second").AddSparkflyAuthHandler("second").ConfigurePrimaryHttpMessageHandler(() => shared);
        });

        foreach (string name in (string[])["first", "second", "first"])
        {
            using HttpClient client = app.Client(name);
            using HttpResponseMessage own = await client.GetAs(sending, "offers");
            using HttpResponseMessage others = await client.GetAs(sending, "moved");

            Assert.That(own.StatusCode, Is.EqualTo(HttpStatusCode.OK), name);
            Assert.That(others.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), $"{name}: it arrived at the other account's server without a token");
        }

        foreach ((ConcurrentQueue<Seen> seen, StandInServer server) in ((ConcurrentQueue<Seen>, StandInServer)[])[(atFirst, first), (atSecond, second)])
        {
            Assert.That(seen.Select(static s => s.Token).Where(static t => t is not null), Is.All.Matches<string>(server.IsGood), "tokens of its own alone");
        }

        Assert.That((first.TokenRequests, second.TokenRequests), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task An_unknown_primary_handler_that_follows_redirects_by_itself_is_found_out_and_given_no_further_token([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        using var unknown = new UnknownFollowingHandler();
        await using TestApp app = sparkfly.App(client: client =>
        {
            client.ConfigurePrimaryHttpMessageHandler(() => unknown);
            client.Services.AddHttpClient("second").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => unknown);
        });
        using HttpClient client = app.Client();
        using HttpClient second = app.Client("second");

        using HttpResponseMessage leaked = await client.GetAs(sending, "moved");
        int requests = unknown.Requests;

        Assert.That(leaked.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1), "a 401 from elsewhere renews nothing");
        Assert.That(app.Log.Count(static e => e.StartsWith("[Critical] Sparkfly.Auth.Handler[33]", StringComparison.Ordinal)), Is.EqualTo(1));
        foreach (HttpClient sharing in (HttpClient[])[client, second])
        {
            Assert.That(
                async () => (await sharing.GetAs(sending, "offers")).Dispose(),
                Throws.InvalidOperationException.With.Message.Contains(nameof(UnknownFollowingHandler)));
        }

        Assert.That(unknown.Requests, Is.EqualTo(requests), "refused before it was asked");
        using HttpResponseMessage foreign = await client.GetAs(sending, other.Address);
        Assert.That(other.Requests[^1].Token, Is.Null);
    }

    [Test]
    public async Task An_unknown_primary_handler_that_follows_a_redirect_of_the_second_send_is_found_out_too([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        int calls = 0;
        sparkfly.OnApiRequest = context =>
        {
            if (Interlocked.Increment(ref calls) == 1)
            {
                context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            }
            else
            {
                context.Response.Redirect(other.Address.AbsoluteUri);
            }

            return Task.FromResult(true);
        };
        using var unknown = new UnknownFollowingHandler();
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => unknown));
        using HttpClient client = app.Client();

        using HttpResponseMessage leaked = await client.GetAs(sending, "offers");

        Assert.That((leaked.StatusCode, sparkfly.TokenRequests, other.Requests.Count), Is.EqualTo((HttpStatusCode.OK, 2, 1)));
        Assert.That(
            async () => (await client.GetAs(sending, "offers")).Dispose(),
            Throws.InvalidOperationException.With.Message.Contains(nameof(UnknownFollowingHandler)));
        Assert.That(other.Requests, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task An_unknown_primary_handler_is_taken_as_it_is_and_its_3xx_goes_to_the_caller([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        using var unknown = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Found) { Headers = { Location = new Uri("https://evil.example/") } });
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => unknown));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Found));
        Assert.That(unknown.Requests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_primary_handler_that_is_a_DelegatingHandler_with_nothing_below_it_is_the_network([Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        var tokens = new ConcurrentQueue<(string Host, bool HasToken)>();
        using var primary = new InlineHandler((request, _) =>
        {
            tokens.Enqueue((request.RequestUri!.Host, request.Headers.Contains("X-Auth-Token")));
            bool isHome = request.RequestUri.Host == "127.0.0.1";
            var response = new HttpResponseMessage(isHome ? HttpStatusCode.Found : HttpStatusCode.OK) { RequestMessage = request };
            response.Headers.Location = isHome ? new Uri("http://evil.example/") : null;
            return Task.FromResult(response);
        });
        await using TestApp app = sparkfly.App(client: client => client
            .AddHttpMessageHandler(() => new RedirectingHandler(following)).ConfigurePrimaryHttpMessageHandler(() => primary));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(tokens, Is.EqualTo(((string, bool)[])[("127.0.0.1", true), ("evil.example", false)]));
    }

    [Test]
    public async Task Without_IHttpClientFactory_the_handler_is_as_safe(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App();
        SparkflyAuthHandler handler = app.Services.GetRequiredService<SparkflyAuthHandler>();
        handler.InnerHandler = primary == Primary.Sockets ? new SocketsHttpHandler() : new HttpClientHandler();
        using var client = new HttpClient(handler) { BaseAddress = sparkfly.BaseAddress };

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Single().Token, Is.Not.Null);
        Assert.That(other.Requests.Single().Token, Is.Null);
    }

    /// <summary>Without the factory the handler stands where it was put, and what is below it is the network.</summary>
    [Test]
    public async Task Without_IHttpClientFactory_a_handler_below_it_that_follows_redirects_by_itself_is_found_out_and_given_no_further_token(
        [Values] Following following, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App();
        SparkflyAuthHandler handler = app.Services.GetRequiredService<SparkflyAuthHandler>();
        handler.InnerHandler = new RedirectingHandler(following) { InnerHandler = new SocketsHttpHandler() };
        using var client = new HttpClient(handler) { BaseAddress = sparkfly.BaseAddress };

        using HttpResponseMessage leaked = await client.GetAs(sending, "moved");

        Assert.That(app.Log.Count(static e => e.StartsWith("[Critical] Sparkfly.Auth.Handler[33]", StringComparison.Ordinal)), Is.EqualTo(1));
        Assert.That(
            async () => (await client.GetAs(sending, "offers")).Dispose(), Throws.InvalidOperationException.With.Message.Contains("has followed a redirect"));
        Assert.That((sparkfly.ApiRequests, other.Requests.Count), Is.EqualTo((1, 1)));
        using HttpResponseMessage foreign = await client.GetAs(sending, other.Address);
        Assert.That(foreign.StatusCode, Is.EqualTo(HttpStatusCode.OK), "requests to other hosts are let through");
    }

    /// <summary>A new instance would do it again, and each rotation of the client's pipeline makes one.</summary>
    [Test]
    public async Task An_unknown_primary_handler_that_is_found_out_is_refused_in_every_further_pipeline_of_its_client_and_in_no_other(
        [Values] bool isInChain, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App(client: client =>
        {
            client.ConfigurePrimaryHttpMessageHandler(() => isInChain ? Wrapped(new UnknownFollowingHandler()) : new UnknownFollowingHandler());
            client.Services.AddHttpClient("second").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(static () => new UnknownFollowingHandler());
        });
        using HttpClient before = NewPipeline(app, sparkfly);
        using HttpClient leaking = app.Client();

        using HttpResponseMessage leaked = await leaking.GetAs(sending, "moved");

        using HttpClient rotated = NewPipeline(app, sparkfly);
        foreach (HttpClient client in (HttpClient[])[leaking, rotated, before])
        {
            foreach (string path in (string[])["offers", "moved"])
            {
                Assert.That(
                    async () => (await client.GetAs(sending, path)).Dispose(),
                    Throws.InvalidOperationException.With.Message.Contains(nameof(UnknownFollowingHandler)));
            }
        }

        Assert.That((sparkfly.ApiRequests, other.Requests.Count), Is.EqualTo((1, 1)), "one leak, and no second one");
        using HttpClient second = app.Client("second");
        using HttpResponseMessage ofAnother = await second.GetAs(sending, "offers");
        Assert.That(ofAnother.StatusCode, Is.EqualTo(HttpStatusCode.OK), "another client's instance has done nothing");
        SparkflyAuthHandler handler = app.Services.GetRequiredService<SparkflyAuthHandler>();
        handler.InnerHandler = new UnknownFollowingHandler();
        using var own = new HttpClient(handler) { BaseAddress = sparkfly.BaseAddress };
        using HttpResponseMessage ofNoClient = await own.GetAs(sending, "offers");
        Assert.That(ofNoClient.StatusCode, Is.EqualTo(HttpStatusCode.OK), "nor has that of a pipeline which is no client's");
    }

    /// <summary>Rule 6.2: default credentials cannot be kept from one address, so a redirect to another origin is not followed with them.</summary>
    [Test]
    public async Task With_default_credentials_a_redirect_within_the_origin_is_followed_and_one_elsewhere_goes_to_the_caller(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Record(context =>
        {
            string? target = context.Request.Path.Value switch
            {
                "/v1.0/within" => "offers",
                "/v1.0/away" => other.Address.AbsoluteUri,
                _ => null,
            };
            return target is not null && context.RedirectTo(307, target).IsCompleted;
        });
        using HttpMessageHandler handler = primary == Primary.Sockets
            ? new SocketsHttpHandler { Credentials = CredentialCache.DefaultCredentials }
            : new HttpClientHandler { UseDefaultCredentials = true };
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => handler));
        using HttpClient client = app.Client();

        using HttpResponseMessage within = await client.GetAs(sending, "within");
        using HttpResponseMessage away = await client.GetAs(sending, "away");
        using HttpResponseMessage foreign = await client.GetAs(sending, other.Address);

        Assert.That((within.StatusCode, away.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.TemporaryRedirect)));
        Assert.That(other.Requests, Has.Count.EqualTo(1), "the caller's own");
        Assert.That(
            handler is SocketsHttpHandler sockets ? sockets.Credentials : ((HttpClientHandler)handler).Credentials,
            Is.SameAs(CredentialCache.DefaultCredentials), "the platform knows it by this object");
    }

    [Test]
    public async Task An_InnerHandler_that_is_set_after_a_first_request_has_failed_without_one_is_made_safe_too([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        sparkfly.Redirect("/v1.0/moved", other.Address.AbsoluteUri);
        await using TestApp app = sparkfly.App();
        SparkflyAuthHandler handler = app.Services.GetRequiredService<SparkflyAuthHandler>();
        using var client = new HttpClient(handler) { BaseAddress = sparkfly.BaseAddress };
        Assert.That(
            async () => (await client.GetAs(sending, "moved")).Dispose(), Throws.InvalidOperationException.With.Message.Contains("InnerHandler"));
        handler.InnerHandler = new SocketsHttpHandler();

        using HttpResponseMessage response = await client.GetAs(sending, "moved");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(other.Requests.Single().Token, Is.Null);
    }

    [Test]
    public async Task API_clients_keep_no_cookies([Values] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        await using TestApp app = sparkfly.App(client: client => client.Use(primary));
        using HttpClient client = app.Client();

        for (int i = 0; i < 2; i++)
        {
            using HttpResponseMessage response = await client.GetAs(sending, "offers");
            Assert.That(response.Headers.Contains("Set-Cookie"), Is.True, "the stand-in tries");
        }

        Assert.That(home.Select(static s => s.Headers.ContainsKey("Cookie")), Is.EqualTo((bool[])[false, false]));
    }

    [Test]
    public async Task Cookies_that_the_application_brought_are_sent_and_its_container_goes_on_working(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        var cookies = new CookieContainer();
        cookies.Add(sparkfly.BaseAddress, new Cookie("affinity", "node-7"));
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => WithCookies(primary, cookies)));
        using HttpClient client = app.Client();

        for (int i = 0; i < 2; i++)
        {
            using HttpResponseMessage response = await client.GetAs(sending, "offers");
        }

        Assert.That(home.Select(static s => s.Headers["Cookie"].Contains("affinity=node-7")), Is.All.True);
        Assert.That(cookies.Count, Is.EqualTo(2), "the stand-in's session cookie was kept beside it");
    }

    [Test]
    public async Task Cookies_that_the_application_brought_are_sent_to_another_host_once(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        var cookies = new CookieContainer();
        cookies.Add(other.Address, new Cookie("affinity", "node-7"));
        await using TestApp app = sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => WithCookies(primary, cookies)));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, other.Address);

        Assert.That(other.Requests.Single().Headers["Cookie"], Is.EqualTo("affinity=node-7"));
    }

    private static HttpMessageHandler WithCookies(Primary primary, CookieContainer cookies) => primary == Primary.Sockets
        ? new SocketsHttpHandler { CookieContainer = cookies }
        : new HttpClientHandler { CookieContainer = cookies };

    private static HttpClient NewPipeline(TestApp app, StandInServer sparkfly) => new(app.NewPipeline("api")) { BaseAddress = sparkfly.BaseAddress };

    // IHttpClientFactory itself changes a primary handler that it sees (its MeterFactory), so a used one can only come to it wrapped.
    private static InlineHandler Wrapped(HttpMessageHandler handler) => new(static (request, send) => send(request)) { InnerHandler = handler };

    private static async Task UseOnceAsync(HttpMessageHandler handler, Uri address)
    {
        using var client = new HttpClient(handler, disposeHandler: false);
        using HttpResponseMessage response = await client.GetAsync(address);
    }
}
