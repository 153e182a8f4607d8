using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.4: the token request follows no redirect and keeps no cookies, whatever its pipeline is made of; the key goes nowhere else.</summary>
public class TokenRequestSafetyTests
{
    [Test]
    public async Task The_token_request_follows_no_redirect_and_the_failure_says_where_it_led(
        [Values(301, 302, 303, 307, 308)] int status, [Values] Primary primary, [Values] bool isCleared)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = AnswerWithToken;
        RedirectTokenRequests(sparkfly, other.Address.AbsoluteUri, status);
        await using TestApp app = App(sparkfly, client => Clear(client.Use(primary), isCleared));

        SparkflyAuthenticationException? exception = await Assert.ThrowsAsync<SparkflyAuthenticationException>(async () => await app.Tokens.GetTokenAsync());

        Assert.That(other.Requests, Is.Empty);
        Assert.That((int?)exception?.AuthStatusCode, Is.EqualTo(status));
        Assert.That(exception?.Message, Does.Contain(other.Address.Root()).And.Contain("redirect"));
    }

    [Test]
    public async Task The_token_request_follows_no_redirect_within_the_origin_either([Values] Primary primary)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        RedirectTokenRequests(sparkfly, "/elsewhere", 307);
        await using TestApp app = App(sparkfly, client => client.Use(primary));

        await Assert.ThrowsAsync<SparkflyAuthenticationException>(async () => await app.Tokens.GetTokenAsync());

        Assert.That(sparkfly.ApiRequests, Is.Zero);
    }

    [Test]
    public async Task The_token_request_keeps_no_cookies_even_of_a_container_that_the_application_has_filled(
        [Values] Primary primary, [Values] bool isFilled, [Values] bool isCleared)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = Record(sparkfly);
        var cookies = new CookieContainer();
        if (isFilled)
        {
            cookies.Add(sparkfly.BaseAddress, new Cookie("affinity", "node-7"));
        }

        await using TestApp app = App(sparkfly, client => Clear(
            primary switch
            {
                Primary.Sockets => client.ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler { UseCookies = true, CookieContainer = cookies }),
                Primary.HttpClientHandler => client.ConfigurePrimaryHttpMessageHandler(() => new HttpClientHandler { UseCookies = true, CookieContainer = cookies }),
                _ => client,
            },
            isCleared));

        await app.Tokens.GetTokenAsync();
        app.Time.Advance(TimeSpan.FromDays(1));
        await app.Tokens.GetTokenAsync();

        Assert.That(seen.Select(static s => s.Headers.ContainsKey("Cookie")), Is.EqualTo((bool[])[false, false]));
    }

    [Test]
    public async Task A_handler_of_ConfigureAuthClient_that_follows_redirects_by_itself_sends_nothing_elsewhere_and_is_told_so(
        [Values] Following following)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = AnswerWithToken;
        RedirectTokenRequests(sparkfly, other.Address.AbsoluteUri, 307);
        await using TestApp app = App(sparkfly, client => client.AddHttpMessageHandler(() => new RedirectingHandler(following)));

        SparkflyAuthenticationException? exception = await Assert.ThrowsAsync<SparkflyAuthenticationException>(async () => await app.Tokens.GetTokenAsync());

        Assert.That(exception?.Message, Does.Contain(other.Address.Root()).And.Contain("redirect").And.Contain("ConfigureAuthClient"));
        Assert.That(exception?.IsTransient, Is.False, "a wrongly built pipeline stays wrong");
        Assert.That((sparkfly.TokenRequests, other.Requests.Count), Is.EqualTo((1, 0)));
    }

    [Test]
    public async Task Nor_does_the_key_go_where_such_a_handler_is_led_within_the_origin([Values] Following following)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        RedirectTokenRequests(sparkfly, "/v1.0/offers", 307);
        await using TestApp app = App(sparkfly, client => client.AddHttpMessageHandler(() => new RedirectingHandler(following)));

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain("redirect").And.Contain("ConfigureAuthClient"));
        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((1, 0)));
    }

    /// <summary>A copy without options has no credentials. It is not sent, because the response could only be a 401.</summary>
    [Test]
    public async Task A_copy_of_the_token_request_without_its_options_is_not_sent_and_the_error_says_what_to_copy([Values] bool hasAddress)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, client => client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
            send(new HttpRequestMessage(request.Method, hasAddress ? request.RequestUri : null)))));

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain("ConfigureAuthClient").And.Contain("HttpRequestMessage.Options"));
        Assert.That(exception.Message, Does.Contain(hasAddress ? sparkfly.BaseAddress.Root() : "an address that is not absolute"));
        Assert.That(sparkfly.TokenRequests, Is.Zero);
    }

    [Test]
    public async Task A_copy_with_its_options_is_sent_with_the_credentials_and_its_token_is_taken()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, client => client.AddHttpMessageHandler(static () => new InlineHandler(static (request, send) =>
        {
            var copy = new HttpRequestMessage(request.Method, request.RequestUri);
            foreach ((string key, object? value) in request.Options)
            {
                ((IDictionary<string, object?>)copy.Options)[key] = value;
            }

            return send(copy);
        })));

        SparkflyToken token = await app.Tokens.GetTokenAsync();

        Assert.That(sparkfly.IsGood(token.Value), Is.True);
    }

    [Test]
    public async Task Credentials_that_a_handler_puts_on_are_replaced_by_the_account_s()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = Record(sparkfly);
        await using TestApp app = App(sparkfly, client => client.AddHttpMessageHandler(static () => new InlineHandler(static (request, send) =>
        {
            request.Headers.Add("X-Auth-Identity", "an identity of its own");
            request.Headers.Add("X-Auth-Key", "a key of its own");
            return send(request);
        })));

        await app.Tokens.GetTokenAsync();

        Assert.That((seen.Single().Headers["X-Auth-Identity"], seen.Single().Headers["X-Auth-Key"]), Is.EqualTo((sparkfly.Options.Identity, sparkfly.Options.Key)));
    }

    /// <summary>Rule 6.3: a primary handler may answer with a copy of the message, which it was given with the key.</summary>
    [Test]
    public async Task No_handler_sees_the_key_on_the_message_that_a_response_names_nor_in_its_reason_phrase([Values] bool isCopy, [Values] bool showsKey)
    {
        string key = SecretSweep.NewSecret("key");
        HttpResponseMessage? response = null;
        using var primary = new FakePrimary(request =>
        {
            var copy = new HttpRequestMessage(request.Method, request.RequestUri);
            foreach ((string name, IEnumerable<string> values) in request.Headers)
            {
                copy.Headers.TryAddWithoutValidation(name, values);
            }

            return new HttpResponseMessage(HttpStatusCode.OK)
            {
                RequestMessage = isCopy ? copy : request,
                ReasonPhrase = showsKey ? $"The key is {key}" : "Here is a token",
                Headers = { { "X-Auth-Token", SecretSweep.NewSecret("token") } },
            };
        });
        await using var app = new TestApp(services => services
            .AddSparkflyAuth(options => (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), key))
            .ConfigureAuthClient(client => client
                .ConfigurePrimaryHttpMessageHandler(() => primary)
                .AddHttpMessageHandler(() => new InlineHandler((request, send) =>
                {
                    // At once: the primary handler has its answer ready.
                    response = send(request).GetAwaiter().GetResult();
                    return Task.FromResult(response);
                }))));

        await app.Tokens.GetTokenAsync();

        Assert.That(response!.RequestMessage!.Headers.Select(static h => h.Key), Has.None.StartsWith("X-Auth-"));
        Assert.That(response.ReasonPhrase, Is.EqualTo(showsKey ? "OK" : "Here is a token"));
    }

    [Test]
    public async Task An_unknown_primary_handler_that_follows_by_itself_is_found_out_and_given_the_key_no_more()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = AnswerWithToken;
        RedirectTokenRequests(sparkfly, other.Address.AbsoluteUri, 307);
        using var unknown = new UnknownFollowingHandler();
        await using TestApp app = App(sparkfly, client => client.ConfigurePrimaryHttpMessageHandler(() => unknown));

        await Assert.ThrowsAsync<SparkflyAuthenticationException>(async () => await app.Tokens.GetTokenAsync());
        sparkfly.OnTokenRequest = null;
        app.Time.Advance(TimeSpan.FromHours(1));
        SparkflyAuthenticationException? refused = await Assert.ThrowsAsync<SparkflyAuthenticationException>(async () => await app.Tokens.GetTokenAsync());

        Assert.That(refused?.Message, Does.Contain(nameof(UnknownFollowingHandler)));
        Assert.That(unknown.Requests, Is.EqualTo(1), "it was not asked again");
        Assert.That(app.Log.Count(static e => e.StartsWith("[Critical] Sparkfly.Auth.Handler[33]", StringComparison.Ordinal)), Is.EqualTo(1));
    }

    [Test]
    public async Task The_response_that_it_brings_from_elsewhere_is_closed()
    {
        using var body = new MemoryStream();
        using var primary = new FakePrimary(_ => new HttpResponseMessage(HttpStatusCode.OK)
        {
            RequestMessage = new HttpRequestMessage(HttpMethod.Get, "https://elsewhere.test/"),
            Content = new StreamContent(body),
        });
        await using var app = new TestApp(services => services
            .AddSparkflyAuth(static options => (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
            .ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(() => primary)));

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(body.CanRead, Is.False);
    }

    [Test]
    public async Task A_new_instance_of_it_in_a_further_pipeline_is_given_the_key_no_more_either()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = AnswerWithToken;
        RedirectTokenRequests(sparkfly, other.Address.AbsoluteUri, 307);
        await using TestApp app = App(sparkfly, client => client.ConfigurePrimaryHttpMessageHandler(static () => new UnknownFollowingHandler()));
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        using var rotated = new HttpMessageInvoker(app.NewPipeline(SparkflyAuthClient.ClientName("")));
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(sparkfly.BaseAddress, "auth"));

        Assert.That(
            async () => (await rotated.SendAsync(request, CancellationToken.None)).Dispose(),
            Throws.InvalidOperationException.With.Message.Contains(nameof(UnknownFollowingHandler)));
        Assert.That((sparkfly.TokenRequests, other.Requests.Count), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task An_auth_endpoint_that_changes_while_a_token_request_is_on_its_way_is_no_redirect()
    {
        await using StandInServer wrong = await Sparkfly.StartAsync();
        await using StandInServer right = await Sparkfly.StartAsync(o => o with { Identity = wrong.Options.Identity, Key = wrong.Options.Key });
        var arrived = new TaskCompletionSource();
        var mayAnswer = new TaskCompletionSource();
        wrong.OnTokenRequest = async context =>
        {
            arrived.TrySetResult();
            await mayAnswer.Task;
            context.Response.StatusCode = 503;
            return true;
        };
        IConfigurationRoot configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["BaseAddress"] = wrong.BaseAddress.AbsoluteUri,
            ["Identity"] = wrong.Options.Identity,
            ["Key"] = wrong.Options.Key,
        }).Build();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(configuration);
        });
        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await arrived.Task.WaitAsync(TestApp.Patience);

        configuration["BaseAddress"] = right.BaseAddress.AbsoluteUri;
        configuration.Reload();
        mayAnswer.SetResult();
        SparkflyToken token = await waiting.WaitAsync(TestApp.Patience);

        Assert.That(right.IsGood(token.Value), Is.True, "the right one was asked, through the same pipeline");
        Assert.That(app.Log.Count(static e => e.StartsWith("[Critical]", StringComparison.Ordinal)), Is.Zero);
    }

    [Test]
    public async Task Credentials_are_on_the_token_request_alone([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> asked = Record(sparkfly);
        ConcurrentQueue<Seen> called = sparkfly.Record(static _ => false);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(asked.Single().Headers, Does.ContainKey("X-Auth-Key").And.ContainKey("X-Auth-Identity").And.Not.ContainKey("X-Auth-Token"));
        Assert.That(called.Single().Headers.Keys, Has.None.EqualTo("X-Auth-Key").And.None.EqualTo("X-Auth-Identity"));
    }

    private static void RedirectTokenRequests(StandInServer sparkfly, string location, int status) => sparkfly.OnTokenRequest = context =>
    {
        context.RedirectTo(status, location);
        return Task.FromResult(true);
    };

    private static ConcurrentQueue<Seen> Record(StandInServer sparkfly)
    {
        var seen = new ConcurrentQueue<Seen>();
        sparkfly.OnTokenRequest = async context =>
        {
            seen.Enqueue(await Seen.OfAsync(context));
            return false;
        };
        return seen;
    }

    private static Task AnswerWithToken(HttpContext context)
    {
        context.Response.Headers["X-Auth-Token"] = SecretSweep.NewSecret("token");
        context.Response.StatusCode = 204;
        return Task.CompletedTask;
    }

    private static IHttpClientBuilder Clear(IHttpClientBuilder client, bool isCleared) =>
        isCleared ? client.ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Clear()) : client;

    private static TestApp App(StandInServer sparkfly, Action<IHttpClientBuilder> authClient) =>
        new(services => services.AddSparkflyAuth(options => options.Use(sparkfly)).ConfigureAuthClient(authClient));
}
