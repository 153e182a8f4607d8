using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2: which account a request uses, and what is said where that cannot be.</summary>
public class AccountSelectionTests
{
    private readonly SparkflyAuthOptions _second = new()
    {
        Identity = SecretSweep.NewSecret("identity"),
        Key = SecretSweep.NewSecret("key"),
    };

    [Test]
    public async Task SetSparkflyAccount_makes_one_request_use_another_account()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "");
        using HttpClient client = app.Client();

        string first = await TokenSent(server, client, static _ => { });
        string other = await TokenSent(server, client, static r => r.SetSparkflyAccount("second"));
        string last = await TokenSent(server, client, static _ => { });

        Assert.That(other, Is.Not.EqualTo(first), "the request that names the account");
        Assert.That(last, Is.EqualTo(first), "the next one, which names none");
        Assert.That(other, Is.EqualTo((await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync()).Value));
    }

    /// <summary>What Refit's <c>[Property("Sparkfly.Account")]</c> does.</summary>
    [Test]
    public async Task The_request_option_s_raw_key_does_the_same()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "");
        using HttpClient client = app.Client();

        string other = await TokenSent(
            server, client, static r => ((IDictionary<string, object?>)r.Options)["Sparkfly.Account"] = "second");

        Assert.That(other, Is.EqualTo((await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync()).Value));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task The_empty_name_is_the_default_account()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "second");
        using HttpClient client = app.Client();

        string sent = await TokenSent(server, client, static r => r.SetSparkflyAccount(""));

        Assert.That(sent, Is.EqualTo((await app.Tokens.GetTokenAsync()).Value));
    }

    [Test]
    public async Task An_option_of_null_names_no_account()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "");
        using HttpClient client = app.Client();

        string sent = await TokenSent(server, client, static r => ((IDictionary<string, object?>)r.Options)["Sparkfly.Account"] = null);

        Assert.That(sent, Is.EqualTo((await app.Tokens.GetTokenAsync()).Value));
    }

    [Test]
    public async Task A_401_of_another_account_renews_that_one()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "");
        using HttpClient client = app.Client();
        ISparkflyTokenProvider second = app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second");
        (string before, string untouched) = ((await second.GetTokenAsync()).Value, (await app.Tokens.GetTokenAsync()).Value);
        server.RevokeTokens();

        string sent = await TokenSent(server, client, static r => r.SetSparkflyAccount("second"));

        Assert.That(sent, Is.Not.EqualTo(before));
        Assert.That(sent, Is.EqualTo((await second.GetTokenAsync()).Value));
        Assert.That((await app.Tokens.GetTokenAsync()).Value, Is.EqualTo(untouched), "the client's own account has seen no 401");
    }

    /// <summary>How a handler in between copies the message, without its options.</summary>
    public enum Copied
    {
        ByOneHandler,
        ByTwo,
        OnAnotherThread,
    }

    [Test]
    public async Task A_name_that_is_set_before_the_pipeline_holds_though_a_handler_copies_the_message_without_its_options(
        [Values] Copied copied, [Values] bool isAddedAfter, [Values] Sending sending)
    {
        await using StandInServer server = await TwoAccountServer();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = TwoAccountApp(server, "", isAddedAfter, client =>
        {
            for (int i = copied == Copied.ByTwo ? 0 : 1; i < 2; i++)
            {
                client.AddHttpMessageHandler(() => new InlineHandler((request, send) => copied == Copied.OnAnotherThread
                    ? OnAnotherThread(() => send(Copy(request)), sending)
                    : send(Copy(request))));
            }
        });
        using HttpClient client = app.Client();

        foreach (string? name in (string?[])["second", null, "second", ""])
        {
            using HttpResponseMessage response = await Get(client, name, sending);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        server.RevokeTokens();
        using HttpResponseMessage replayed = await Get(client, "second", sending);

        string[] tokens = [.. seen.Select(static s => s.Token!)];
        Assert.That(replayed.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(tokens, Has.Length.EqualTo(6));
        Assert.That((tokens[2], tokens[3], tokens[4]), Is.EqualTo((tokens[0], tokens[1], tokens[0])));
        Assert.That(tokens[1], Is.Not.EqualTo(tokens[0]));
        Assert.That(tokens[5], Is.EqualTo((await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync()).Value));

        static Task<HttpResponseMessage> OnAnotherThread(Func<Task<HttpResponseMessage>> send, Sending sending)
        {
            Task<HttpResponseMessage> sent = Task.Run(send);
            return sending == Sending.Async ? sent : Task.FromResult(sent.GetAwaiter().GetResult());
        }
    }

    /// <summary>A call that a handler makes meanwhile is one of its own, which names no account.</summary>
    [Test]
    public async Task A_call_from_inside_a_call_that_names_an_account_does_not_inherit_the_name(
        [Values("api", "another")] string inner, [Values] bool isAddedAfter, [Values] Sending sending)
    {
        await using StandInServer server = await TwoAccountServer();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        TestApp? running = null;
        await using TestApp app = TwoAccountApp(server, "", isAddedAfter, client =>
        {
            client.Services.AddHttpClient("another").AddSparkflyAuthHandler();
            client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
            {
                if (request.RequestUri!.AbsolutePath == "/v1.0/outer")
                {
                    using HttpClient nested = running!.Client(inner);
                    using HttpResponseMessage response = Task.Run(() => Get(nested, null, sending)).GetAwaiter().GetResult();
                    using HttpResponseMessage onThisThread = nested.Send(new HttpRequestMessage(HttpMethod.Get, "offers"));
                }

                return send(Copy(request));
            }));
        });
        running = app;
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await Get(client, "second", sending, "outer");

        string own = (await app.Tokens.GetTokenAsync()).Value;
        string second = (await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync()).Value;
        Assert.That(
            seen.Select(static s => $"{s.Url} {s.Token}"),
            Is.EqualTo((string[])[$"/v1.0/offers {own}", $"/v1.0/offers {own}", $"/v1.0/outer {second}"]));
    }

    [Test]
    public async Task Nothing_of_it_is_left_in_the_callers_execution_context([Values] bool isChain, [Values] Sending sending)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(
            register: services => services.AddSparkflyAuth("second", options =>
            {
                options.BaseAddress = new Uri("https://sparkfly.test/v1.0");
                (options.Identity, options.Key) = ("second", SecretSweep.NewSecret("key"));
            }).ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => sparkfly.Auth)),
            client: client =>
            {
                if (isChain)
                {
                    client.ConfigurePrimaryHttpMessageHandler(() => new InlineHandler(static (request, send) => send(request)) { InnerHandler = sparkfly.Api });
                }
            });
        using var client = new HttpMessageInvoker(app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("api"));

        (ExecutionContext? before, ExecutionContext? after) = await BothWays.OnThread(() =>
        {
            // Nothing of the test's own is in it.
            var context = new AsyncLocal<string> { Value = "the caller's" };
            ExecutionContext? before = ExecutionContext.Capture();
            using var request = new HttpRequestMessage(HttpMethod.Get, "https://sparkfly.test/v1.0/offers");
            request.SetSparkflyAccount("second");
            Task<HttpResponseMessage>? sent = null;
            if (sending == Sending.Async)
            {
                sent = client.SendAsync(request, CancellationToken.None);
            }
            else
            {
                client.Send(request, CancellationToken.None).Dispose();
            }

            ExecutionContext? after = ExecutionContext.Capture();
            sent?.GetAwaiter().GetResult().Dispose();
            GC.KeepAlive(context);
            return (before, after);
        });

        Assert.That(after, Is.SameAs(before));
    }

    [Test]
    public async Task A_name_that_is_not_registered_is_an_error_that_names_it_and_the_ones_that_are()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "");
        using HttpClient client = app.Client();

        InvalidOperationException exception = await Fails(client, static r => r.SetSparkflyAccount("secnod"));

        Assert.That(exception.Message, Does.Contain("'secnod' is not registered").And.Contain("the default account, 'second'"));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((0, 0)));
    }

    [Test]
    public async Task An_account_of_another_origin_than_the_request_s_is_an_error_that_says_so()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using StandInServer elsewhere = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddSparkflyAuth("elsewhere", o => o.Use(elsewhere));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();

        InvalidOperationException exception = await Fails(client, static r => r.SetSparkflyAccount("elsewhere"));

        Assert.That(exception.Message, Does.Contain("'elsewhere'")
            .And.Contain(server.BaseAddress.GetLeftPart(UriPartial.Authority))
            .And.Contain(elsewhere.BaseAddress.GetLeftPart(UriPartial.Authority)));
        Assert.That((server.ApiRequests, server.TokenRequests, elsewhere.TokenRequests), Is.EqualTo((0, 0, 0)));
    }

    /// <summary>Then no handler of ours stands above it that could look at the message first.</summary>
    [Test]
    public async Task Without_IHttpClientFactory_a_request_may_name_its_account_too_and_one_of_another_origin_is_an_error([Values] Sending sending)
    {
        await using StandInServer server = await TwoAccountServer();
        await using StandInServer elsewhere = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddSparkflyAuth("second", options =>
            {
                Second(options);
                options.BaseAddress = server.BaseAddress;
            });
            services.AddSparkflyAuth("elsewhere", o => o.Use(elsewhere));
        });
        SparkflyAuthHandler handler = app.Services.GetRequiredService<SparkflyAuthHandler>();
        handler.InnerHandler = new SocketsHttpHandler();
        using var client = new HttpClient(handler) { BaseAddress = server.BaseAddress };

        using HttpResponseMessage response = await Get(client, "second", sending);
        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => Get(client, "elsewhere", sending));

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(seen.Single().Token, Is.EqualTo((await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync()).Value));
        Assert.That(exception.Message, Does.Contain("'elsewhere'").And.Contain("it would leave without a token"));
        Assert.That(elsewhere.TokenRequests, Is.Zero);
    }

    [Test]
    public async Task A_handler_in_between_may_name_the_account([Values] bool isNamedBefore, [Values] Sending sending)
    {
        await using StandInServer server = await TwoAccountServer();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = TwoAccountApp(server, "", client: static client => client.AddHttpMessageHandler(static () => new InlineHandler(static (request, send) =>
        {
            request.SetSparkflyAccount("second");
            return send(request);
        })));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await Get(client, isNamedBefore ? "" : null, sending);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(seen.Single().Token, Is.EqualTo((await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync()).Value));
    }

    [Test]
    public async Task An_option_that_is_not_a_string_is_an_error_that_says_so()
    {
        await using StandInServer server = await TwoAccountServer();
        await using TestApp app = TwoAccountApp(server, "");
        using HttpClient client = app.Client();

        InvalidOperationException exception = await Fails(
            client, static r => ((IDictionary<string, object?>)r.Options)["Sparkfly.Account"] = 17);

        Assert.That(exception.Message, Does.Contain("\"Sparkfly.Account\"").And.Contain("Int32"));
        Assert.That(server.ApiRequests, Is.Zero);
    }

    [Test]
    public async Task A_misspelt_account_on_a_client_stops_the_host_and_names_it()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(services =>
        {
            services.AddSparkflyAuth("second", Second);
            services.AddHttpClient("api").AddSparkflyAuthHandler("secnod");
        });

        Assert.That(exception.Message, Does.Contain("'api'").And.Contain("'secnod'").And.Contain("'second'"));
    }

    [Test]
    public async Task A_client_without_any_account_stops_the_host_and_says_what_is_missing()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            static services => services.AddHttpClient("api").AddSparkflyAuthHandler());

        Assert.That(exception.Message, Does.Contain("'api'").And.Contain("services.AddSparkflyAuth()"));
    }

    [Test]
    public async Task A_named_client_without_any_account_stops_the_host_and_says_that_none_is_registered()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            static services => services.AddHttpClient("api").AddSparkflyAuthHandler("brand"));

        Assert.That(exception.Message, Does.Contain("'brand' is not registered").And.Contain("Registered: none."));
    }

    [Test]
    public async Task A_misspelt_account_in_defaults_stops_the_host_too()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(services =>
        {
            services.AddSparkflyAuth(Second);
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler("secnod"));
        });

        Assert.That(exception.Message, Does.Contain("ConfigureHttpClientDefaults").And.Contain("'secnod'"));
    }

    [Test]
    public async Task An_account_may_be_registered_after_the_client_that_uses_it()
    {
        using IHost host = HostedApp.Build(services =>
        {
            services.AddHttpClient("api").AddSparkflyAuthHandler("second");
            services.AddSparkflyAuth("second", Second);
        });

        await host.StartAsync().WaitAsync(TestApp.Patience);
        await host.StopAsync().WaitAsync(TestApp.Patience);
    }

    private static async Task<string> TokenSent(StandInServer server, HttpClient client, Action<HttpRequestMessage> choose)
    {
        string? sent = null;
        server.OnApiRequest = context =>
        {
            sent = context.Request.Headers["X-Auth-Token"];
            return Task.FromResult(false);
        };
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        choose(request);
        using HttpResponseMessage response = await client.SendAsync(request);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        return sent!;
    }

    private static async Task<HttpResponseMessage> Get(HttpClient client, string? account, Sending sending, string address = "offers")
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        if (account is not null)
        {
            request.SetSparkflyAccount(account);
        }

        return await client.SendAs(sending, request);
    }

    private static HttpRequestMessage Copy(HttpRequestMessage request) => new(request.Method, request.RequestUri);

    private static Task<InvalidOperationException> Fails(HttpClient client, Action<HttpRequestMessage> choose) =>
        Thrown.By<InvalidOperationException>(async () =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            choose(request);
            using HttpResponseMessage response = await client.SendAsync(request);
        });

    private void Second(SparkflyAuthOptions options) => (options.Identity, options.Key) = (_second.Identity, _second.Key);

    /// <summary>A server of two accounts: its own, and the second one.</summary>
    private async Task<StandInServer> TwoAccountServer()
    {
        StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = context =>
        {
            bool isSecond = context.Request.Headers["X-Auth-Key"] == _second.Key;
            if (isSecond)
            {
                server.AnswerWithToken(context);
            }

            return Task.FromResult(isSecond);
        };
        return server;
    }

    private TestApp TwoAccountApp(
        StandInServer server, string clientAccount, bool isAddedAfter = false, Action<IHttpClientBuilder>? client = null) => new(services =>
    {
        services.AddSparkflyAuth(o => o.Use(server));
        services.AddSparkflyAuth("second", options =>
        {
            Second(options);
            options.BaseAddress = server.BaseAddress;
        });
        IHttpClientBuilder builder = services.AddHttpClient("api");
        if (!isAddedAfter)
        {
            client?.Invoke(builder);
        }

        builder.AddSparkflyAuthHandler(clientAccount);
        if (isAddedAfter)
        {
            client?.Invoke(builder);
        }
    });
}
