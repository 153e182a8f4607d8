using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 5.6: one attempt is one <c>POST</c>, unless the application says otherwise with <c>ConfigureAuthClient</c>.</summary>
public class AuthClientPipelineTests
{
    public static TestCaseData[] Defaults() =>
    [
        .. from isFirst in (bool[])[true, false]
        from retry in ((string Name, Action<IHttpClientBuilder> Add)[])[
            ("a handler that retries", static clients => clients.AddHttpMessageHandler(static () => new EagerRetryHandler(3))),
            ("another way of adding one", static clients =>
                clients.ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Insert(0, new EagerRetryHandler(3)))),
            ("the standard resilience handler", static clients => clients.AddStandardResilienceHandler()),
        ]
        select new TestCaseData(retry.Add, isFirst).SetArgDisplayNames(retry.Name, isFirst ? "before the account" : "after the account"),
    ];

    [TestCaseSource(nameof(Defaults))]
    public async Task Handlers_from_ConfigureHttpClientDefaults_do_not_make_one_attempt_several_POSTs(
        Action<IHttpClientBuilder> retry, bool areDefaultsFirst)
    {
        await using StandInServer server = await UnavailableServer();
        await using var app = new TestApp(services =>
        {
            if (areDefaultsFirst)
            {
                services.ConfigureHttpClientDefaults(retry);
            }

            services.AddSparkflyAuth(o => o.Use(server));
            if (!areDefaultsFirst)
            {
                services.ConfigureHttpClientDefaults(retry);
            }
        });

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    public static TestCaseData[] ForAllClients() =>
    [
        .. from isFirst in (bool[])[true, false]
        from registration in ((string Name, Action<IServiceCollection, Action<HttpClientFactoryOptions>> Register)[])[
            ("ConfigureAll", static (services, configure) => services.ConfigureAll(configure)),
            ("PostConfigureAll", static (services, configure) => services.PostConfigureAll(configure)),
            ("a setup of the application's own", static (services, configure) =>
                services.AddSingleton<IConfigureOptions<HttpClientFactoryOptions>>(new Setup(configure))),
        ]
        from add in ((string Name, Action<HttpMessageHandlerBuilder> Add)[])[
            ("last", static builder => builder.AdditionalHandlers.Add(new EagerRetryHandler(3))),
            ("first", static builder => builder.AdditionalHandlers.Insert(0, new EagerRetryHandler(3))),
            ("in place of others", static builder =>
            {
                builder.AdditionalHandlers.Clear();
                builder.AdditionalHandlers.Add(new EagerRetryHandler(3));
            }),
        ]
        select new TestCaseData(registration.Register, add.Add, isFirst)
            .SetArgDisplayNames(registration.Name, add.Name, isFirst ? "before the account" : "after the account"),
    ];

    [TestCaseSource(nameof(ForAllClients))]
    public async Task Handlers_that_are_configured_for_all_clients_do_not_enter_whenever_they_are_registered(
        Action<IServiceCollection, Action<HttpClientFactoryOptions>> register, Action<HttpMessageHandlerBuilder> add, bool isFirst)
    {
        await using StandInServer server = await UnavailableServer();
        bool isOwnAsked = false;
        await using var app = new TestApp(services =>
        {
            if (isFirst)
            {
                register(services, options => options.HttpMessageHandlerBuilderActions.Add(add));
            }

            services.AddSparkflyAuth(o => o.Use(server)).ConfigureAuthClient(client => client.AddHttpMessageHandler(() => new InlineHandler((request, next) =>
            {
                isOwnAsked = true;
                return next(request);
            })));
            if (!isFirst)
            {
                register(services, options => options.HttpMessageHandlerBuilderActions.Insert(0, add));
            }
        });

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(server.TokenRequests, Is.EqualTo(1));
        Assert.That(isOwnAsked, "a handler of ConfigureAuthClient enters all the same");
    }

    [Test]
    public async Task A_primary_handler_that_is_configured_for_all_clients_is_the_token_request_s_too([Values] bool isFirst)
    {
        var sparkfly = new InMemorySparkfly();
        await using var app = new TestApp(services =>
        {
            if (isFirst)
            {
                services.ConfigureAll<HttpClientFactoryOptions>(o => o.HttpMessageHandlerBuilderActions.Add(builder => builder.PrimaryHandler = sparkfly.Auth));
            }

            services.AddSparkflyAuth(sparkfly.Settings);
            if (!isFirst)
            {
                services.ConfigureHttpClientDefaults(clients => clients.ConfigurePrimaryHttpMessageHandler(() => sparkfly.Auth));
            }
        });

        await app.Tokens.GetTokenAsync();

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Handlers_from_ConfigureAuthClient_do_enter([Values] bool isAccountAddedAgain)
    {
        await using StandInServer server = await UnavailableServer();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server))
                .ConfigureAuthClient(static client => client.AddHttpMessageHandler(static () => new EagerRetryHandler(3)));
            if (isAccountAddedAgain)
            {
                services.AddSparkflyAuth(static o => o.Scope = "offers");
            }
        });

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(server.TokenRequests, Is.EqualTo(3));
    }

    [Test]
    public async Task ConfigureAuthClient_is_called_at_once_with_the_client_of_its_own_account_and_returns_the_same_builder()
    {
        await using StandInServer server = await UnavailableServer();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            bool isCalled = false;
            SparkflyAuthBuilder brand = services.AddSparkflyAuth("brand", o => o.Use(server));

            SparkflyAuthBuilder returned = brand.ConfigureAuthClient(client =>
            {
                isCalled = true;
                client.AddHttpMessageHandler(static () => new EagerRetryHandler(3));
            });

            Assert.That(isCalled, Is.True);
            Assert.That(returned, Is.SameAs(brand));
        });

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(server.TokenRequests, Is.EqualTo(1), "the other account's client is as it was");
    }

    [Test]
    public async Task The_token_requests_of_each_account_have_a_client_of_their_own_and_the_default_s_has_the_package_s_name()
    {
        await using StandInServer server = await UnavailableServer();
        (string Name, int Attempts)[] accounts = [("", 2), ("one", 3), ("two", 4)];
        await using var app = new TestApp(services =>
        {
            foreach ((string name, int attempts) in accounts)
            {
                services.AddSparkflyAuth(name, o =>
                {
                    o.Use(server);
                    o.Key = SecretSweep.NewSecret("key");
                }).ConfigureAuthClient(client => client.AddHttpMessageHandler(() => new EagerRetryHandler(attempts)));
            }
        });

        foreach ((string name, int attempts) in accounts)
        {
            int before = server.TokenRequests;
            ISparkflyTokenProvider tokens = name.Length == 0 ? app.Tokens : app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>(name);
            await Thrown.By<SparkflyAuthenticationException>(() => tokens.GetTokenAsync().AsTask());
            Assert.That(server.TokenRequests - before, Is.EqualTo(attempts), name);
        }

        Assert.That(app.Log, Has.Some.Contains("System.Net.Http.HttpClient.Sparkfly.Auth.Handler.LogicalHandler"));
        Assert.That(app.Log, Has.Some.Contains("System.Net.Http.HttpClient.Sparkfly.Auth.Handler:one.LogicalHandler"));
    }

    /// <summary>AuthTimeout is the bound, on the application's clock; one of the platform's would end a longer one.</summary>
    [Test]
    public async Task The_clients_of_token_requests_have_no_timeout_of_their_own()
    {
        await using var app = new TestApp(static services =>
        {
            services.AddSparkflyAuth(static o => (o.Identity, o.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")));
            services.AddSparkflyAccountSource<NoAccounts>();
        });
        using HttpClient ofDefault = app.Client(SparkflyAuthClient.ClientName(""));
        using HttpClient ofSource = app.Client(SparkflyAuthClient.ClientName(RegisteredAccounts.OfSource));

        Assert.That((ofDefault.Timeout, ofSource.Timeout), Is.EqualTo((Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan)));
    }

    [Test]
    public async Task Handlers_from_ConfigureAuthClient_enter_no_client_of_the_API()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server))
                .ConfigureAuthClient(static client => client.AddHttpMessageHandler(static () => new EagerRetryHandler(3)));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(server.ApiRequests, Is.EqualTo(1));
    }

    private static async Task<StandInServer> UnavailableServer()
    {
        StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        return server;
    }

    private sealed class NoAccounts : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) => default;
    }

    private sealed class Setup(Action<HttpClientFactoryOptions> configure) : IConfigureNamedOptions<HttpClientFactoryOptions>
    {
        public void Configure(HttpClientFactoryOptions options) => configure(options);

        public void Configure(string? name, HttpClientFactoryOptions options) => configure(options);
    }
}
