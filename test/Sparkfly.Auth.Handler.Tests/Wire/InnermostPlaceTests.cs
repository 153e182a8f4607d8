using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using Microsoft.Extensions.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rule 6.1: the handler works directly above the primary handler, wherever it was added. Each message that other handlers send passes it, and no
/// handler of the application sees a token, or the credentials of a token request.
/// </summary>
public class InnermostPlaceTests
{
    /// <summary>How the handler and the application's own get into the pipeline.</summary>
    public static TestCaseData[] Pipelines() =>
    [
        .. from pipeline in ((string Name, Action<IServiceCollection, IHttpClientBuilder, Func<DelegatingHandler>> Build)[])[
            ("ours last", static (_, client, own) => client.AddHttpMessageHandler(own).AddSparkflyAuthHandler()),
            ("ours first", static (_, client, own) => client.AddSparkflyAuthHandler().AddHttpMessageHandler(own)),
            ("ours by type, last", static (_, client, own) => client.AddHttpMessageHandler(own).AddHttpMessageHandler<SparkflyAuthHandler>()),
            ("ours by type, first", static (_, client, own) => client.AddHttpMessageHandler<SparkflyAuthHandler>().AddHttpMessageHandler(own)),
            ("ours in defaults", static (services, client, own) =>
            {
                client.AddHttpMessageHandler(own);
                services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            }),
            ("ours and own in defaults", static (services, _, own) =>
                services.ConfigureHttpClientDefaults(clients => clients.AddSparkflyAuthHandler().AddHttpMessageHandler(own))),
            ("ours by type in defaults", static (services, client, own) =>
            {
                client.AddHttpMessageHandler(own);
                services.ConfigureHttpClientDefaults(static clients => clients.AddHttpMessageHandler<SparkflyAuthHandler>());
            }),
            ("own inserted and appended", static (_, client, own) => client.AddSparkflyAuthHandler().ConfigureAdditionalHttpMessageHandlers((handlers, _) =>
            {
                handlers.Insert(0, own());
                handlers.Add(own());
            })),
            ("a filter appends, registered before", static (services, client, own) =>
            {
                services.Insert(0, Filter(builder => builder.AdditionalHandlers.Add(own())));
                client.AddSparkflyAuthHandler();
            }),
            ("a filter appends, registered after", static (services, client, own) =>
            {
                client.AddSparkflyAuthHandler();
                services.Add(Filter(builder => builder.AdditionalHandlers.Add(own())));
            }),
            ("a filter sets the primary handler, registered before", static (services, client, own) =>
            {
                services.Insert(0, Filter(builder => builder.PrimaryHandler = Over(new SocketsHttpHandler(), own())));
                client.AddSparkflyAuthHandler();
            }),
            ("a filter sets the primary handler, registered after", static (services, client, own) =>
            {
                client.AddSparkflyAuthHandler();
                services.Add(Filter(builder => builder.PrimaryHandler = Over(new HttpClientHandler(), own(), own())));
            }),
            ("a filter clears the handlers but ours", static (services, client, own) =>
            {
                client.AddSparkflyAuthHandler();
                services.Insert(0, Filter(builder =>
                {
                    DelegatingHandler[] ours = [.. builder.AdditionalHandlers.OfType<SparkflyAuthHandler>()];
                    builder.AdditionalHandlers.Clear();
                    foreach (DelegatingHandler handler in (DelegatingHandler[])[.. ours, own()])
                    {
                        builder.AdditionalHandlers.Add(handler);
                    }
                }));
            }),
            ("a primary handler set before", static (_, client, own) =>
                client.ConfigurePrimaryHttpMessageHandler(() => Over(new SocketsHttpHandler(), own())).AddSparkflyAuthHandler()),
            ("a primary handler set after", static (_, client, own) =>
                client.AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => Over(new SocketsHttpHandler(), own(), own()))),
            ("a primary handler that has been replaced", static (_, client, own) => client
                .ConfigurePrimaryHttpMessageHandler(static () => new HttpClientHandler())
                .AddHttpMessageHandler(own)
                .AddSparkflyAuthHandler()
                .UseSocketsHttpHandler(static (handler, _) => handler.PooledConnectionLifetime = TimeSpan.FromMinutes(1))),
            ("a keyed client", static (_, client, own) => client.AddAsKeyed(ServiceLifetime.Singleton).AddSparkflyAuthHandler().AddHttpMessageHandler(own)),
        ]
        from sending in (Sending[])[Sending.Async, Sending.Sync]
        select new TestCaseData(pipeline.Build, sending).SetArgDisplayNames(pipeline.Name, sending.ToString()),
    ];

    [TestCaseSource(nameof(Pipelines))]
    public async Task Wherever_it_was_added_the_wire_has_the_token_and_no_handler_of_the_application_sees_it(
        Action<IServiceCollection, IHttpClientBuilder, Func<DelegatingHandler>> build, Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", "offers");
        var watch = new Watch();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            build(services, services.AddHttpClient("api"), watch.NewHandler);
        });
        using HttpClient client = app.Services.GetKeyedService<HttpClient>("api") ?? app.Client();
        foreach (string path in (string[])["offers", "moved"])
        {
            using HttpResponseMessage response = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, path));
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        sparkfly.RevokeTokens();
        using HttpResponseMessage replayed = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));

        Assert.That(replayed.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => s.Token).ToList(), Has.Count.EqualTo(5).And.All.Not.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(2));
        watch.SawNone(atLeast: 3);
    }

    /// <summary>How the application's own handlers get into the pipeline of token requests.</summary>
    public static TestCaseData[] AuthPipelines() =>
    [
        .. from pipeline in ((string Name, Action<IServiceCollection, IHttpClientBuilder, Func<DelegatingHandler>> Build)[])[
            ("added", static (_, client, own) => client.AddHttpMessageHandler(own)),
            ("inserted and appended", static (_, client, own) => client.ConfigureAdditionalHttpMessageHandlers((handlers, _) =>
            {
                handlers.Insert(0, own());
                handlers.Add(own());
            })),
            ("after a Clear", static (_, client, own) => client
                .ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Clear()).AddHttpMessageHandler(own)),
            ("in the primary handler", static (_, client, own) =>
                client.ConfigurePrimaryHttpMessageHandler(() => Over(new SocketsHttpHandler(), own(), own()))),
            ("by a filter, first", static (services, _, own) => services.Insert(0, Filter(builder => builder.AdditionalHandlers.Add(own())))),
            ("by a filter, last", static (services, _, own) => services.Add(Filter(builder => builder.AdditionalHandlers.Add(own())))),
            ("by a filter that sets the primary handler", static (services, _, own) =>
                services.Insert(0, Filter(builder => builder.PrimaryHandler = Over(new HttpClientHandler(), own())))),
        ]
        select new TestCaseData(pipeline.Build).SetArgDisplayNames(pipeline.Name),
    ];

    [TestCaseSource(nameof(AuthPipelines))]
    public async Task No_handler_of_the_application_sees_the_credentials_of_a_token_request_or_the_token_of_its_response(
        Action<IServiceCollection, IHttpClientBuilder, Func<DelegatingHandler>> build)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        var seen = new ConcurrentQueue<Seen>();
        sparkfly.OnTokenRequest = async context =>
        {
            seen.Enqueue(await Seen.OfAsync(context));
            return false;
        };
        var watch = new Watch();
        await using var app = new TestApp(services =>
            services.AddSparkflyAuth(options => options.Use(sparkfly)).ConfigureAuthClient(client => build(services, client, watch.NewHandler)));

        SparkflyToken token = await app.Tokens.GetTokenAsync();

        Assert.That(sparkfly.IsGood(token.Value), Is.True);
        Assert.That(
            (seen.Single().Headers["X-Auth-Identity"], seen.Single().Headers["X-Auth-Key"]), Is.EqualTo((sparkfly.Options.Identity, sparkfly.Options.Key)));
        watch.SawNone(atLeast: 1);
    }

    /// <summary>What the clients of two accounts, and both accounts' token requests, may share.</summary>
    public enum SharedPrimary
    {
        SocketsHttpHandler,
        HttpClientHandler,
        Chain,
        ChainThatWasUsed,
    }

    [Test]
    public async Task A_primary_handler_that_two_accounts_and_their_token_requests_share_gives_each_its_own(
        [Values] SharedPrimary shared, [Values] bool isWithAuth, [Values] Sending sending)
    {
        await using StandInServer first = await Sparkfly.StartAsync();
        await using StandInServer second = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> atFirst = first.Record(static _ => false);
        ConcurrentQueue<Seen> atSecond = second.Record(static _ => false);
        var watch = new Watch();
        bool isChain = shared is SharedPrimary.Chain or SharedPrimary.ChainThatWasUsed;
        HttpMessageHandler network = shared == SharedPrimary.HttpClientHandler
            ? new HttpClientHandler { AllowAutoRedirect = false, UseCookies = false }
            : new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false };
        using HttpMessageHandler primary = isChain ? Over(network, watch.NewHandler(), watch.NewHandler()) : network;
        if (shared == SharedPrimary.ChainThatWasUsed)
        {
            // Nothing can be inserted any more, so the place is above the chain, whose handlers are the network then.
            using var early = new HttpMessageInvoker(primary, disposeHandler: false);
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(first.BaseAddress, "offers"));
            using HttpResponseMessage unauthorized = await early.SendAsync(request, CancellationToken.None);
            atFirst.Clear();
        }

        await using var app = new TestApp(services =>
        {
            foreach ((string name, StandInServer server) in ((string, StandInServer)[])[("first", first), ("second", second)])
            {
                services.AddSparkflyAuth(name, options => options.Use(server)).ConfigureAuthClient(client =>
                {
                    if (isWithAuth)
                    {
                        client.ConfigurePrimaryHttpMessageHandler(() => primary);
                    }
                });
                services.AddHttpClient(name).AddSparkflyAuthHandler(name).AddHttpMessageHandler(watch.NewHandler).ConfigurePrimaryHttpMessageHandler(() => primary);
            }
        });

        for (int round = 0; round < 2; round++)
        {
            HttpResponseMessage[] responses = await Task.WhenAll(((string[])["first", "second", "first", "second"])
                .Select(async name => await app.Client(name).GetAs(sending, "offers")));
            Assert.That(responses.Select(static r => r.StatusCode), Is.All.EqualTo(HttpStatusCode.OK));
            first.RevokeTokens();
            second.RevokeTokens();
        }

        Assert.That(atFirst.Concat(atSecond).Select(static s => s.Token), Is.All.Not.Null);
        Assert.That(atFirst.Select(static s => s.Token).Intersect(atSecond.Select(static s => s.Token)), Is.Empty);
        Assert.That((first.TokenRequests, second.TokenRequests), Is.EqualTo((2, 2)));
        if (shared != SharedPrimary.ChainThatWasUsed)
        {
            watch.SawNone(atLeast: 8);
        }
    }

    [Test]
    public async Task A_client_of_no_account_that_shares_the_chain_sends_its_requests_as_they_are([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        using HttpMessageHandler chain = Over(new SocketsHttpHandler(), new Watch().NewHandler());
        await using TestApp app = sparkfly.App(client: client =>
        {
            client.ConfigurePrimaryHttpMessageHandler(() => chain);
            client.Services.AddHttpClient("plain").ConfigurePrimaryHttpMessageHandler(() => chain);
        });
        using HttpClient client = app.Client();
        using HttpClient plain = app.Client("plain");
        using HttpResponseMessage own = await client.GetAs(sending, "offers");

        using HttpResponseMessage response = await plain.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));

        Assert.That((own.StatusCode, response.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.Unauthorized)));
        Assert.That(home.Select(static s => s.Token is not null), Is.EqualTo((bool[])[true, false]));
    }

    /// <summary>As a library does that has a builder of its own.</summary>
    [Test]
    public async Task A_builder_that_is_put_in_place_of_ours_is_used_and_ours_is_put_round_it_by_the_next_registration(
        [Values("type", "factory", "instance", "the platform's")] string how, [Values] bool isAccountNext)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        var watch = new Watch();
        var instance = new OwnBuilder(null);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            IHttpClientBuilder client = services.AddHttpClient("api").AddSparkflyAuthHandler();
            ServiceDescriptor platforms = new ServiceCollection().AddHttpClient().Single(static d => d.ServiceType == typeof(HttpMessageHandlerBuilder));
            int place = services.ToList().FindIndex(static d => d.ServiceType == typeof(HttpMessageHandlerBuilder));
            services[place] = how switch
            {
                "type" => ServiceDescriptor.Transient<HttpMessageHandlerBuilder, OwnBuilder>(),
                "factory" => ServiceDescriptor.Transient<HttpMessageHandlerBuilder>(static provider => new OwnBuilder(provider)),
                "instance" => ServiceDescriptor.Singleton<HttpMessageHandlerBuilder>(instance),
                _ => platforms,
            };
            _ = isAccountNext ? (object)services.AddSparkflyAuth(static _ => { }) : client.AddSparkflyAuthHandler();
            client.AddHttpMessageHandler(watch.NewHandler);
        });
        instance.Provider = app.Services;
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        watch.SawNone(atLeast: 1);
    }

    /// <summary>Then it is the innermost one all the same, and knows the account that the message has named at first.</summary>
    [Test]
    public async Task A_primary_handler_that_the_application_has_built_round_ours_is_told_the_account_of_each_message([Values] Sending sending)
    {
        var sparkfly = new InMemorySparkfly();
        await using var app = new TestApp(services =>
        {
            sparkfly.AddAccount(services, "");
            services.AddSparkflyAuth("second", static options =>
            {
                options.BaseAddress = new Uri("https://sparkfly.test/v1.0");
                (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
            }).ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => sparkfly.Auth));
            services.AddHttpClient("api")
                .ConfigurePrimaryHttpMessageHandler(provider => With(provider.GetRequiredService<SparkflyAuthHandler>(), sparkfly.Api))
                .AddHttpMessageHandler(static () => new InlineHandler(static (request, send) => send(new HttpRequestMessage(request.Method, request.RequestUri))));
        });
        string? sent = null;
        sparkfly.OnApiRequest = (request, _) =>
        {
            sent = InMemorySparkfly.TokenOf(request);
            return Task.FromResult<HttpResponseMessage?>(null);
        };
        SparkflyToken second = await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://sparkfly.test/v1.0/offers");
        request.SetSparkflyAccount("second");

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(sent, Is.EqualTo(second.Value));

        static SparkflyAuthHandler With(SparkflyAuthHandler handler, HttpMessageHandler network)
        {
            handler.InnerHandler = network;
            return handler;
        }
    }

    [Test]
    public async Task After_a_Clear_of_the_handlers_it_can_be_added_again([Values] bool isInDefaults, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        sparkfly.Record(static context =>
        {
            context.Response.StatusCode = 401;
            return true;
        });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            services.AddHttpClient("api", client => client.BaseAddress = sparkfly.BaseAddress);
            if (isInDefaults)
            {
                services.ConfigureHttpClientDefaults(Twice);
            }
            else
            {
                Twice(services.AddHttpClient("api"));
            }
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((2, 2)), "a token, a 401, a new token, the replay: one handler");

        static void Twice(IHttpClientBuilder client) => client
            .AddSparkflyAuthHandler()
            .ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Clear())
            .AddSparkflyAuthHandler();
    }

    [Test]
    public async Task The_standard_hedging_handler_may_stand_anywhere_and_each_attempt_has_a_token_and_the_JSON([Values] bool isAddedAfter)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = sparkfly.RecordAndBeUnavailableOnce();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            IHttpClientBuilder client = services.AddHttpClient("api");
            if (isAddedAfter)
            {
                client.AddSparkflyAuthHandler().AddStandardHedgingHandler();
            }
            else
            {
                client.AddStandardHedgingHandler();
                client.AddSparkflyAuthHandler();
            }
        });
        using HttpClient client = app.Client();
        using (HttpResponseMessage first = await client.PostAsJsonAsync("offers", new { id = 19 }))
        {
            Assert.That(first.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        sparkfly.RevokeTokens();
        using HttpResponseMessage afterRevocation = await client.PostAsJsonAsync("offers", new { id = 19 });

        Assert.That(afterRevocation.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(seen.Select(static s => $"{s.Method} {s.Text()}"), Is.All.EqualTo("POST {\"id\":19}"));
        Assert.That(seen.Select(static s => s.Token).ToList(), Has.Count.EqualTo(4).And.All.Not.Null, "503 and its hedge, 401 and its replay");
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_header_that_a_handler_adds_has_one_value_on_each_send_the_replay_included([Values] bool isAddedAfter, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Redirect("/v1.0/moved", "offers");
        int id = 0;
        InlineHandler Numbering() => new((request, send) =>
        {
            request.Headers.Add("X-Request-Id", $"{++id}");
            return send(request);
        });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            IHttpClientBuilder client = services.AddHttpClient("api");
            _ = isAddedAfter
                ? client.AddSparkflyAuthHandler().AddHttpMessageHandler(Numbering)
                : client.AddHttpMessageHandler(Numbering).AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();
        using HttpResponseMessage first = await client.GetAs(sending, "offers");
        sparkfly.RevokeTokens();

        using HttpResponseMessage second = await client.GetAs(sending, "moved");

        Assert.That(
            home.Select(static s => $"{s.Url} {s.Headers["X-Request-Id"]}"),
            Is.EqualTo((string[])["/v1.0/offers 1", "/v1.0/moved 2", "/v1.0/offers 2", "/v1.0/offers 2"]));
    }

    /// <summary>Rule 3.4: the token is taken when the message leaves, not when the caller sends it.</summary>
    [Test]
    public async Task A_request_that_a_handler_holds_past_the_tokens_end_is_sent_with_a_fresh_one([Values] bool isAddedAfter, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> home = sparkfly.Record(static _ => false);
        TimeSpan held = TimeSpan.Zero;
        TestApp? running = null;
        InlineHandler Holding() => new((request, send) =>
        {
            running!.Time.Advance(held);
            return send(request);
        });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            IHttpClientBuilder client = services.AddHttpClient("api");
            _ = isAddedAfter
                ? client.AddSparkflyAuthHandler().AddHttpMessageHandler(Holding)
                : client.AddHttpMessageHandler(Holding).AddSparkflyAuthHandler();
        });
        running = app;
        using HttpClient client = app.Client();
        using HttpResponseMessage first = await client.GetAs(sending, "offers");

        held = TimeSpan.FromDays(1);
        using HttpResponseMessage second = await client.GetAs(sending, "offers");

        Assert.That(second.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(home.Select(static s => s.Token).Distinct().Count(), Is.EqualTo(2));
        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((2, 2)), "no send with a token that has ended");
    }

    private static ServiceDescriptor Filter(Action<HttpMessageHandlerBuilder> last) =>
        ServiceDescriptor.Singleton<IHttpMessageHandlerBuilderFilter>(new LastWord(last));

    /// <summary>A chain of handlers over the one that talks to the network.</summary>
    private static HttpMessageHandler Over(HttpMessageHandler network, params DelegatingHandler[] handlers) => Enumerable.Reverse(handlers).Aggregate(
        network,
        static (inner, handler) =>
        {
            handler.InnerHandler = inner;
            return handler;
        });

    /// <summary>A builder of an application's own.</summary>
    private sealed class OwnBuilder(IServiceProvider? services) : HttpMessageHandlerBuilder
    {
        private readonly List<DelegatingHandler> _handlers = [];

        [System.Diagnostics.CodeAnalysis.DisallowNull]
        public override string? Name { get; set; }

        public override HttpMessageHandler PrimaryHandler { get; set; } = new HttpClientHandler();

        public override IList<DelegatingHandler> AdditionalHandlers => _handlers;

        public override IServiceProvider Services => Provider!;

        public IServiceProvider? Provider { get; set; } = services;

        // The one instance builds one pipeline after the other.
        public override HttpMessageHandler Build()
        {
            HttpMessageHandler pipeline = CreateHandlerPipeline(PrimaryHandler, [.. _handlers]);
            _handlers.Clear();
            PrimaryHandler = new HttpClientHandler();
            return pipeline;
        }
    }

    /// <summary>A filter that does what it does after all that come later.</summary>
    private sealed class LastWord(Action<HttpMessageHandlerBuilder> last) : IHttpMessageHandlerBuilderFilter
    {
        public Action<HttpMessageHandlerBuilder> Configure(Action<HttpMessageHandlerBuilder> next) => builder =>
        {
            next(builder);
            last(builder);
        };
    }

    /// <summary>What handlers of the application see of Sparkfly's headers: on the request, before and after the send, and on the response.</summary>
    private sealed class Watch
    {
        private readonly ConcurrentQueue<string> _headers = new();
        private int _messages;

        public InlineHandler NewHandler() => new InlineHandler(async (request, send) =>
        {
            Interlocked.Increment(ref _messages);
            Note("request", request.Headers);
            HttpResponseMessage response = await send(request);
            Note("request, after the send", request.Headers);
            Note("response", response.Headers);
            Note("response's request", response.RequestMessage!.Headers);
            return response;
        });

        public void SawNone(int atLeast)
        {
            Assert.That(_messages, Is.GreaterThanOrEqualTo(atLeast), "messages that the application's handlers saw");
            Assert.That(_headers, Is.Empty);
        }

        private void Note(string where, HttpHeaders headers)
        {
            foreach ((string name, _) in headers.NonValidated)
            {
                if (name.StartsWith("X-Auth-", StringComparison.OrdinalIgnoreCase))
                {
                    _headers.Enqueue($"{where}: {name}");
                }
            }
        }
    }
}
