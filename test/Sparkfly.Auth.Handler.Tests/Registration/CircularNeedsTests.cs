using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Moq;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>An application's loggers, options, validators and account sources may use HTTP clients, with the handler in the defaults of all clients.</summary>
public class CircularNeedsTests
{
    private readonly InMemorySparkfly _sparkfly = new();
    private readonly FakePrimary _vault = new(static _ => new HttpResponseMessage(HttpStatusCode.OK) { Content = new StringContent("offers") });

    /// <summary>When a logger provider creates its client.</summary>
    public enum Creation
    {
        InItsConstructor,
        ForEachLogger,
    }

    [Test]
    public async Task A_host_starts_with_a_logger_provider_that_ships_logs_over_HTTP([Values] Creation creation, [Values] bool isHandlerInDefaults)
    {
        ConcurrentQueue<string> shipped = [];
        using IHost host = await Within(() => HostedApp.Build(services =>
        {
            _sparkfly.AddAccount(services, "");
            AddApi(services);
            if (isHandlerInDefaults)
            {
                services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            }

            services.AddHttpClient("logs").RemoveAllLoggers().ConfigurePrimaryHttpMessageHandler(() => new FakePrimary(request =>
            {
                shipped.Enqueue(request.RequestUri!.Query);
                return new HttpResponseMessage(HttpStatusCode.NoContent);
            }));
            services.AddSingleton<ILoggerProvider>(provider => new ShippingProvider(provider.GetRequiredService<IHttpClientFactory>(), creation));
        }));

        await host.StartAsync().WaitAsync(TestApp.Patience);
        using HttpClient client = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        await host.StopAsync();

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(shipped, Has.Some.Contains("Obtained"), "our own message, sent as the others are");
    }

    [Test]
    public async Task Without_a_host_too([Values] Creation creation)
    {
        using ServiceProvider services = await Within(() => new ServiceCollection()
            .AddLogging()
            .AddSingleton<ILoggerProvider>(provider => new ShippingProvider(provider.GetRequiredService<IHttpClientFactory>(), creation))
            .Do(s => _sparkfly.AddAccount(s, ""))
            .Do(AddApi)
            .ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler())
            .Do(static s => s.AddHttpClient("logs").RemoveAllLoggers().ConfigurePrimaryHttpMessageHandler(static () => new FakePrimary(static _ => new HttpResponseMessage())))
            .BuildServiceProvider());
        using HttpClient client = await Within(() => services.GetRequiredService<IHttpClientFactory>().CreateClient("api"));

        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    /// <summary>Which code of the application asks a vault for the options.</summary>
    public enum Reader
    {
        Configure,
        PostConfigure,
        ConstructorOfASetup,
        Validator,
        ChangeTokenSource,
    }

    [Test]
    public async Task Options_may_be_read_over_HTTP_with_the_handler_in_defaults([Values] Reader reader, [Values] bool isAsync, [Values] bool isSource)
    {
        await using TestApp app = new(services =>
        {
            _sparkfly.AddAccount(services, "");
            if (isSource)
            {
                services.AddSparkflyAccountSource<NoAccounts>();
            }

            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            services.AddHttpClient("vault").ConfigurePrimaryHttpMessageHandler(() => _vault);
            services.AddSingleton(provider => new Vault(provider.GetRequiredService<IHttpClientFactory>(), isAsync));
            _ = reader switch
            {
                Reader.Configure => services.AddOptions<SparkflyAuthOptions>().Configure<Vault>(static (o, vault) => o.Scope = vault.Read()).Services,
                Reader.PostConfigure => services.AddOptions<SparkflyAuthOptions>().PostConfigure<Vault>(static (o, vault) => o.Scope = vault.Read()).Services,
                Reader.ConstructorOfASetup => services.ConfigureOptions<VaultSetup>(),
                Reader.Validator => services.AddOptions<SparkflyAuthOptions>().Validate<Vault>(static (_, vault) => vault.Read() == "offers").Services,
                _ => services.AddSingleton<IOptionsChangeTokenSource<SparkflyAuthOptions>, VaultChanges>(),
            };
            AddApi(services);
        });
        using HttpClient client = await Within(() => app.Client());

        using HttpResponseMessage response = await client.GetAsync("offers").WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_vault.Requests, Is.EqualTo(1));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Work_that_an_option_s_reader_has_started_has_a_token_like_any_other_once_the_options_are_read()
    {
        var gate = new Gate();
        Task<HttpResponseMessage>? later = null;
        string? token = null;
        await using TestApp app = new(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddOptions<SparkflyAuthOptions>().Configure<IHttpClientFactory>((_, clients) => later ??= Task.Run(async () =>
            {
                await gate.Opened;
                using HttpClient client = clients.CreateClient("fresh");
                return await client.GetAsync(new Uri("https://sparkfly.test/v1.0/offers"));
            }));
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            services.AddHttpClient("fresh").ConfigurePrimaryHttpMessageHandler(() => new FakePrimary(request =>
            {
                token = InMemorySparkfly.TokenOf(request);
                return new HttpResponseMessage();
            }));
        });

        await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);
        gate.Open();
        using HttpResponseMessage response = await later!.WaitAsync(TestApp.Patience);

        Assert.That(token, Is.Not.Null);
    }

    [Test]
    public async Task The_package_asks_for_its_logger_once()
    {
        var factory = new Mock<ILoggerFactory>();
        factory.Setup(static f => f.CreateLogger(It.IsAny<string>())).Returns(NullLogger.Instance);
        await using TestApp app = _sparkfly.App(register: services => services.AddSingleton(factory.Object));
        using HttpClient client = app.Client();

        for (int call = 1; call <= 2; call++)
        {
            _sparkfly.Revoke();
            using HttpResponseMessage response = await client.GetAsync("offers");
        }

        factory.Verify(static f => f.CreateLogger("Sparkfly.Auth.Handler"), Times.Once);
    }

    [Test]
    public async Task Options_that_need_their_own_account_are_an_error_that_says_so()
    {
        await using TestApp app = new(services =>
        {
            _sparkfly.AddAccount(services, "");
            services.AddOptions<SparkflyAuthOptions>().Configure<IServiceProvider>(static (_, provider) => provider.GetRequiredService<SparkflyAccounts>().GetRegistered(""));
        });

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => Task.FromResult(app.Services.GetRequiredService<ISparkflyTokenProvider>()));

        Assert.That(exception.Message, Does.Contain("asks for the account itself"));
    }

    [Test]
    public async Task A_source_may_ask_for_its_accounts_over_HTTP_with_the_handler_in_defaults()
    {
        await using TestApp app = new(services =>
        {
            services.AddSingleton(_sparkfly);
            services.AddSparkflyAccountSource<HttpSource>().ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            services.AddHttpClient("vault").ConfigurePrimaryHttpMessageHandler(() => _vault);
            services.AddHttpClient("api").ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);
        });
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://sparkfly.test/v1.0/offers");
        request.SetSparkflyAccount("tenant");

        using HttpResponseMessage response = await client.SendAsync(request).WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That((_vault.Requests, _sparkfly.TokenRequests.Value), Is.EqualTo((1, 1)));
    }

    private void AddApi(IServiceCollection services) =>
        services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);

    // On a thread of its own: what goes wrong hangs.
    private static Task<T> Within<T>(Func<T> create) => Task.Factory.StartNew(create, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)
        .WaitAsync(TestApp.Patience);

    private sealed class ShippingProvider(IHttpClientFactory clients, Creation creation) : ILoggerProvider
    {
        private readonly HttpClient? _client = creation == Creation.InItsConstructor ? clients.CreateClient("logs") : null;

        public ILogger CreateLogger(string categoryName) =>
            categoryName.StartsWith("System.Net.Http", StringComparison.Ordinal) ? Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance : new Logger(_client ?? clients.CreateClient("logs"));

        public void Dispose() => _client?.Dispose();

        private sealed class Logger(HttpClient client) : ILogger
        {
            // What its own requests log is not sent.
            private static readonly AsyncLocal<bool> s_isSending = new();

            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                if (!s_isSending.Value)
                {
                    s_isSending.Value = true;
                    client.GetAsync(new Uri($"https://logs.test/?{formatter(state, exception)}")).GetAwaiter().GetResult().Dispose();
                    s_isSending.Value = false;
                }
            }
        }
    }

    private sealed class Vault(IHttpClientFactory clients, bool isAsync)
    {
        public string Read()
        {
            using HttpClient client = clients.CreateClient("vault");
            using HttpResponseMessage response = isAsync
                ? Task.Run(() => client.GetAsync(new Uri("https://vault.test/scope"))).GetAwaiter().GetResult()
                : client.Send(new HttpRequestMessage(HttpMethod.Get, "https://vault.test/scope"));
            using var reader = new StreamReader(response.Content.ReadAsStream());
            return reader.ReadToEnd();
        }
    }

    private sealed class VaultSetup(Vault vault) : IConfigureOptions<SparkflyAuthOptions>
    {
        private readonly string _scope = vault.Read();

        public void Configure(SparkflyAuthOptions options) => options.Scope = _scope;
    }

    private sealed class VaultChanges : ConfigurationChangeTokenSourceBase
    {
        public VaultChanges(Vault vault) => vault.Read();
    }

    private abstract class ConfigurationChangeTokenSourceBase : IOptionsChangeTokenSource<SparkflyAuthOptions>
    {
        public string Name => Options.DefaultName;

        public Microsoft.Extensions.Primitives.IChangeToken GetChangeToken() => new Microsoft.Extensions.Primitives.CancellationChangeToken(CancellationToken.None);
    }

    private sealed class NoAccounts : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) => default;
    }

    private sealed class HttpSource(IHttpClientFactory clients, InMemorySparkfly sparkfly) : ISparkflyAccountSource
    {
        public async ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken)
        {
            using HttpClient client = clients.CreateClient("vault");
            return new SparkflyAuthOptions
            {
                BaseAddress = new Uri("https://sparkfly.test/v1.0"),
                Identity = sparkfly.Identity,
                Key = sparkfly.Settings["Key"],
                Scope = await client.GetStringAsync(new Uri($"https://vault.test/{name}"), cancellationToken),
            };
        }
    }
}

internal static class Chaining
{
    public static IServiceCollection Do(this IServiceCollection services, Action<IServiceCollection> register)
    {
        register(services);
        return services;
    }
}
