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
}
