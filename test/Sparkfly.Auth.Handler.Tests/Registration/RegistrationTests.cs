using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2: registering accounts, and putting the handler on clients.</summary>
public class RegistrationTests
{
    public static TestCaseData[] Registrations() =>
    [
        Registration("section Sparkfly of the application's configuration", "", static (services, server) =>
        {
            services.AddSingleton<IConfiguration>(Configured.For(server));
            return services.AddSparkflyAuth();
        }),
        Registration("code", "", static (services, server) => services.AddSparkflyAuth(o => o.Use(server))),
        Registration("a section of one's choice", "", static (services, server) =>
            services.AddSparkflyAuth(Configured.For(server).GetSection("Sparkfly"))),
        Registration("code, named", "brand", static (services, server) => services.AddSparkflyAuth("brand", o => o.Use(server))),
        Registration("a section of one's choice, named", "brand", static (services, server) =>
            services.AddSparkflyAuth("brand", Configured.For(server).GetSection("Sparkfly"))),
    ];

    /// <summary>A factory holds the registrations of all: one for each account would take memory that grows with the square of their number.</summary>
    [Test]
    public async Task Accounts_share_the_factory_of_their_options()
    {
        string[] names = [.. Enumerable.Range(1, 20).Select(static i => $"brand {i}")];
        var made = new StrongBox<int>();
        await using var app = new TestApp(services =>
        {
            foreach (string name in names)
            {
                services.AddSparkflyAuth(name, static o => (o.Identity, o.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")));
            }

            services.AddSingleton(made);
            services.AddTransient<IOptionsFactory<SparkflyAuthOptions>, CountedFactory>();
        });

        foreach (string name in names)
        {
            app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>(name);
        }

        Assert.That(made.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Accounts_are_registered_with_each_copy_of_the_services_for_itself()
    {
        var sparkfly = new InMemorySparkfly();
        IServiceCollection common = new ServiceCollection().AddSingleton<IConfiguration>(sparkfly.Settings);
        sparkfly.AddAccount(common, "common");
        IServiceCollection[] copies = [new ServiceCollection().Add(common), new ServiceCollection().Add(common)];
        foreach (IServiceCollection copy in copies)
        {
            sparkfly.AddAccount(copy, "tacos");
            copy.AddSparkflyAccountSource<NoTenants>();
        }

        common.AddDistributedMemoryCache().AddSparkflyAuth("common", static _ => { }).UseDistributedCache();

        foreach (IServiceCollection copy in copies)
        {
            await using ServiceProvider services = copy.BuildServiceProvider();
            foreach (string account in (string[])["common", "tacos"])
            {
                Assert.That(await services.GetRequiredKeyedService<ISparkflyTokenProvider>(account).GetTokenAsync(), Is.Not.Null);
            }

            Assert.That(services.GetRequiredService<SparkflyAccounts>().WhyUnknown("tenant"), Is.Null, "a source may know it");
        }

        await using ServiceProvider commonServices = common.BuildServiceProvider();
        Assert.That(commonServices.GetRequiredService<SparkflyAccounts>().WhyUnknown("tacos"), Does.Contain("'tacos' is not registered"));
    }

    [Test]
    public async Task An_account_that_is_registered_later_is_none_of_a_service_providers_that_is_there()
    {
        var sparkfly = new InMemorySparkfly();
        var collection = new ServiceCollection();
        sparkfly.AddAccount(collection, "");
        await using ServiceProvider services = collection.BuildServiceProvider();
        SparkflyAccounts accounts = services.GetRequiredService<SparkflyAccounts>();

        sparkfly.AddAccount(collection, "later");

        Assert.That(accounts.WhyUnknown("later"), Does.Contain("'later' is not registered"));
    }

    [TestCaseSource(nameof(Registrations))]
    public async Task An_account_is_registered_from(string name, Func<IServiceCollection, StandInServer, SparkflyAuthBuilder> register)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            SparkflyAuthBuilder builder = register(services, server);
            services.AddHttpClient("api").AddSparkflyAuthHandler(name);

            Assert.That(builder.Name, Is.EqualTo(name));
            Assert.That(builder.Services, Is.SameAs(services));
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task Calls_for_one_account_add_up()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddSparkflyAuth(static o => o.Key = "wrong");
            services.AddSparkflyAuth(o => o.Key = server.Options.Key);
        });

        Assert.That(server.IsGood((await app.Tokens.GetTokenAsync()).Value));
    }

    [Test]
    public async Task The_token_provider_is_a_singleton_for_the_default_account_and_keyed_by_name_for_the_others()
    {
        await using StandInServer one = await Sparkfly.StartAsync();
        await using StandInServer two = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(one));
            services.AddSparkflyAuth("two", o => o.Use(two));
        });
        using IServiceScope scope = app.Services.CreateScope();

        var first = app.Services.GetRequiredService<ISparkflyTokenProvider>();
        var second = app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("two");

        Assert.That(scope.ServiceProvider.GetRequiredService<ISparkflyTokenProvider>(), Is.SameAs(first));
        Assert.That(scope.ServiceProvider.GetRequiredKeyedService<ISparkflyTokenProvider>("two"), Is.SameAs(second));
        Assert.That(one.IsGood((await first.GetTokenAsync()).Value), "the default account's");
        Assert.That(two.IsGood((await second.GetTokenAsync()).Value), "the named account's");
    }

    [Test]
    public async Task The_handler_takes_its_tokens_from_a_provider_of_the_application_s_own(
        [Values("", "brand")] string name, [Values] bool isBefore)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var own = new FixedTokens(server.IssueToken());
        await using var app = new TestApp(services =>
        {
            if (isBefore)
            {
                Replace(services);
            }

            services.AddSparkflyAuth(name, o => o.Use(server));
            services.AddHttpClient("api").AddSparkflyAuthHandler(name);
            if (!isBefore)
            {
                Replace(services);
            }
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.Zero);

        void Replace(IServiceCollection services) => _ = name.Length == 0
            ? services.AddSingleton<ISparkflyTokenProvider>(own)
            : services.AddKeyedSingleton<ISparkflyTokenProvider>(name, own);
    }

    [Test]
    public async Task AddHttpMessageHandler_of_SparkflyAuthHandler_keeps_the_same_promises_for_the_default_account()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddHttpClient("api", client => client.BaseAddress = server.BaseAddress).AddHttpMessageHandler<SparkflyAuthHandler>();
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage first = await client.GetAsync("offers");
        server.RevokeTokens();
        using HttpResponseMessage second = await client.GetAsync("offers");

        Assert.That((first.StatusCode, second.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.OK)));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((2, 3)));
    }

    [Test]
    public async Task The_handler_is_a_transient_service()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App();

        Assert.That(
            app.Services.GetRequiredService<SparkflyAuthHandler>(),
            Is.Not.SameAs(app.Services.GetRequiredService<SparkflyAuthHandler>()));
    }

    [Test]
    public async Task Named_typed_and_keyed_clients_all_get_the_token_and_the_base_address()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddHttpClient("named").AddSparkflyAuthHandler();
            services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();
            services.AddHttpClient("keyed").AddSparkflyAuthHandler().AddAsKeyed();
        });
        using IServiceScope scope = app.Services.CreateScope();
        HttpClient[] clients =
        [
            app.Client("named"),
            scope.ServiceProvider.GetRequiredService<OffersClient>().Http,
            scope.ServiceProvider.GetRequiredKeyedService<HttpClient>("keyed"),
        ];

        foreach (HttpClient client in clients)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");

            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(client.BaseAddress, Is.EqualTo(server.BaseAddress));
        }

        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_base_address_of_the_client_s_own_is_left_alone_wherever_it_is_set()
    {
        var own = new Uri("https://own.test/api/");
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(Valid);
            services.AddHttpClient("before", client => client.BaseAddress = own).AddSparkflyAuthHandler();
            services.AddHttpClient("after").AddSparkflyAuthHandler().ConfigureHttpClient(client => client.BaseAddress = own);
            services.AddHttpClient<OwnAddressClient>().AddSparkflyAuthHandler();
        });

        using HttpClient before = app.Client("before");
        using HttpClient after = app.Client("after");
        using HttpClient inConstructor = app.Services.GetRequiredService<OwnAddressClient>().Http;

        Assert.That(before.BaseAddress, Is.EqualTo(own), "set before");
        Assert.That(after.BaseAddress, Is.EqualTo(own), "set after");
        Assert.That(inConstructor.BaseAddress, Is.EqualTo(OwnAddressClient.Address), "set in the typed client's constructor");
    }

    [Test]
    public async Task No_client_gets_a_base_address_through_ConfigureHttpClientDefaults()
    {
        await using var app = new TestApp(static services =>
        {
            services.AddSparkflyAuth(Valid);
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            services.AddHttpClient("other");
        });

        using HttpClient client = app.Client("other");

        Assert.That(client.BaseAddress, Is.Null);
    }

    public static TestCaseData[] Doubles() =>
    [
        Double("repeated", static (_, client) => client.AddSparkflyAuthHandler().AddSparkflyAuthHandler()),
        Double("in defaults and of its own", static (services, client) =>
        {
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            client.AddSparkflyAuthHandler();
        }),
        Double("of its own and in later defaults", static (services, client) =>
        {
            client.AddSparkflyAuthHandler();
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
        }),
        Double("repeated in defaults", static (services, _) =>
        {
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
        }),
        Double("in defaults by type and of its own", static (services, client) =>
        {
            services.ConfigureHttpClientDefaults(static clients => clients.AddHttpMessageHandler<SparkflyAuthHandler>());
            client.AddSparkflyAuthHandler();
        }),
        Double("by type, twice", static (_, client) =>
            client.AddHttpMessageHandler<SparkflyAuthHandler>().AddHttpMessageHandler<SparkflyAuthHandler>()),
        Double("by type, then by name", static (_, client) => client.AddHttpMessageHandler<SparkflyAuthHandler>().AddSparkflyAuthHandler()),
        Double("by name, then by type", static (_, client) => client.AddSparkflyAuthHandler().AddHttpMessageHandler<SparkflyAuthHandler>()),
    ];

    [TestCaseSource(nameof(Doubles))]
    public async Task A_client_has_one_handler(Action<IServiceCollection, IHttpClientBuilder> register)
    {
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(Valid);
            register(services, services.AddHttpClient("api"));
        });

        Assert.That(Handlers(app, "api").OfType<SparkflyAuthHandler>().Count(), Is.EqualTo(1));
    }

    [Test]
    public async Task A_client_s_own_registration_replaces_the_account_from_defaults([Values] bool areDefaultsFirst)
    {
        await using StandInServer one = await Sparkfly.StartAsync();
        await using StandInServer two = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(one));
            services.AddSparkflyAuth("two", o => o.Use(two));
            if (areDefaultsFirst)
            {
                services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            }

            services.AddHttpClient("api").AddSparkflyAuthHandler("two");
            if (!areDefaultsFirst)
            {
                services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            }
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That((one.TokenRequests, two.TokenRequests), Is.EqualTo((0, 1)));
    }

    /// <summary>Rule 6.8: the token request does not wait for itself.</summary>
    [Test]
    public async Task The_token_request_s_own_client_has_no_handler_of_an_account(
        [Values] bool byType, [Values] bool areDefaultsFirst)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            if (!areDefaultsFirst)
            {
                services.AddSparkflyAuth(o => o.Use(server));
            }

            services.ConfigureHttpClientDefaults(clients => _ = byType
                ? clients.AddHttpMessageHandler<SparkflyAuthHandler>()
                : clients.AddSparkflyAuthHandler());
            if (areDefaultsFirst)
            {
                services.AddSparkflyAuth(o => o.Use(server));
            }

            services.AddHttpClient("api", client => client.BaseAddress = server.BaseAddress);
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(Handlers(app, SparkflyAuthClient.ClientName("")).OfType<SparkflyAuthHandler>(), Is.Empty);
    }

    [Test]
    public void A_second_account_on_one_client_is_refused_by_name()
    {
        IHttpClientBuilder client = new ServiceCollection().AddHttpClient("api").AddSparkflyAuthHandler("one");

        InvalidOperationException? exception = Assert.Throws<InvalidOperationException>(() => client.AddSparkflyAuthHandler("two"));

        Assert.That(exception!.Message, Does.Contain("'api'").And.Contain("'one'").And.Contain("SetSparkflyAccount(\"two\")"));
    }

    [Test]
    public void A_second_account_on_a_client_of_the_default_one_is_refused_by_name()
    {
        IHttpClientBuilder client = new ServiceCollection().AddHttpClient("api").AddSparkflyAuthHandler();

        InvalidOperationException? exception = Assert.Throws<InvalidOperationException>(() => client.AddSparkflyAuthHandler("two"));

        Assert.That(exception!.Message, Does.Contain("'api'").And.Contain("the default account").And.Contain("SetSparkflyAccount(\"two\")"));
    }

    /// <summary>Settings may come from a service that itself makes calls, a vault's client, say.</summary>
    [Test]
    public async Task Options_may_be_configured_by_a_service_that_needs_IHttpClientFactory()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(static _ => { });
            services.AddOptions<SparkflyAuthOptions>().Configure<IHttpClientFactory>((options, factory) =>
            {
                using HttpClient vault = factory.CreateClient("vault");
                options.Use(server);
            });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public void Arguments_of_null_are_refused()
    {
        var services = new ServiceCollection();
        IHttpClientBuilder client = services.AddHttpClient("api");
        SparkflyAuthBuilder builder = services.AddSparkflyAuth(Valid);
        IConfigurationRoot section = Configured.From();

        using (Assert.EnterMultipleScope())
        {
            Assert.Throws<ArgumentNullException>(static () => ((IServiceCollection)null!).AddSparkflyAuth());
            Assert.Throws<ArgumentNullException>(() => services.AddSparkflyAuth((Action<SparkflyAuthOptions>)null!));
            Assert.Throws<ArgumentNullException>(() => services.AddSparkflyAuth((IConfiguration)null!));
            Assert.Throws<ArgumentNullException>(() => services.AddSparkflyAuth(null!, Valid));
            Assert.Throws<ArgumentNullException>(() => services.AddSparkflyAuth(null!, section));
            Assert.Throws<ArgumentNullException>(static () => ((IHttpClientBuilder)null!).AddSparkflyAuthHandler());
            Assert.Throws<ArgumentNullException>(() => client.AddSparkflyAuthHandler(null!));
            Assert.Throws<ArgumentNullException>(() => builder.ConfigureAuthClient(null!));
            Assert.Throws<ArgumentNullException>(static () => ((HttpRequestMessage)null!).SetSparkflyAccount(""));
            Assert.Throws<ArgumentNullException>(static () => new HttpRequestMessage().SetSparkflyAccount(null!));
        }
    }

    private static TestCaseData Registration(
        string source, string name, Func<IServiceCollection, StandInServer, SparkflyAuthBuilder> register) =>
        new TestCaseData(name, register).SetArgDisplayNames(source);

    private static TestCaseData Double(string how, Action<IServiceCollection, IHttpClientBuilder> register) =>
        new TestCaseData(register).SetArgDisplayNames(how);

    private static void Valid(SparkflyAuthOptions options) => (options.Identity, options.Key) = ("an identity", "a key");

    /// <summary>The handlers of a client, from the outermost in.</summary>
    private static List<HttpMessageHandler> Handlers(TestApp app, string client)
    {
        var handlers = new List<HttpMessageHandler>();
        HttpMessageHandler? handler = app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler(client);
        for (; handler is not null; handler = (handler as DelegatingHandler)?.InnerHandler)
        {
            handlers.Add(handler);
        }

        return handlers;
    }

    private sealed class OffersClient(HttpClient http)
    {
        public HttpClient Http => http;
    }

    private sealed class OwnAddressClient
    {
        public OwnAddressClient(HttpClient http)
        {
            Http = http;
            http.BaseAddress = Address;
        }

        public static Uri Address { get; } = new("https://constructor.test/api/");

        public HttpClient Http { get; }
    }

    private sealed class NoTenants : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) => new((SparkflyAuthOptions?)null);
    }

    private sealed class CountedFactory : OptionsFactory<SparkflyAuthOptions>
    {
        public CountedFactory(
            IEnumerable<IConfigureOptions<SparkflyAuthOptions>> configurations,
            IEnumerable<IPostConfigureOptions<SparkflyAuthOptions>> postConfigurations,
            IEnumerable<IValidateOptions<SparkflyAuthOptions>> validations,
            StrongBox<int> made)
            : base(configurations, postConfigurations, validations) => made.Value++;
    }
}
