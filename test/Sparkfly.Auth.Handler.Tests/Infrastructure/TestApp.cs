using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>An application under test: its services, its clock, what it has logged; what it logs and traces is swept for secrets.</summary>
internal sealed class TestApp : IAsyncDisposable
{
    /// <summary>How long a test waits for what must happen, before it fails.</summary>
    public static readonly TimeSpan Patience =
        TimeSpan.FromSeconds(int.TryParse(Environment.GetEnvironmentVariable("SPARKFLY_TEST_PATIENCE"), out int seconds) ? seconds : 30);

    private readonly ServiceProvider _services;
    private readonly CountingTime _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly ConcurrentQueue<string> _log = new();

    /// <param name="register">Registers what is tested.</param>
    public TestApp(Action<IServiceCollection> register)
    {
        var services = new ServiceCollection();
        services.AddSingleton<TimeProvider>(Time);

        // For the time of the test: HttpClientFactory has a timer for each pipeline that may expire, which keeps the ended container in memory until then.
        services.ConfigureAll<HttpClientFactoryOptions>(static options => options.HandlerLifetime = Timeout.InfiniteTimeSpan);
        services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace)
            .AddProvider(SecretSweep.LoggerProvider(_log.Enqueue)));
        register(services);
        _services = services.BuildServiceProvider(new ServiceProviderOptions { ValidateScopes = true });
    }

    public FakeTimeProvider Time => _time;

    public IServiceProvider Services => _services;

    public ISparkflyTokenProvider Tokens => Services.GetRequiredService<ISparkflyTokenProvider>();

    /// <summary>Every entry so far as text: level, category, event id, message, state, exception, scopes.</summary>
    public IReadOnlyCollection<string> Log => _log;

    public HttpClient Client(string name = "api") => Services.GetRequiredService<IHttpClientFactory>().CreateClient(name);

    /// <summary>A new pipeline of the client: what the factory makes when one has reached the end of its life.</summary>
    public HttpMessageHandler NewPipeline(string client)
    {
        HttpMessageHandlerBuilder builder = Services.GetRequiredService<HttpMessageHandlerBuilder>();
        builder.Name = client;
        foreach (Action<HttpMessageHandlerBuilder> action in
            Services.GetRequiredService<IOptionsMonitor<HttpClientFactoryOptions>>().Get(client).HttpMessageHandlerBuilderActions)
        {
            action(builder);
        }

        return builder.Build();
    }

    /// <summary>Ends the application. Then each timer of its clock must have been disposed of.</summary>
    public async ValueTask DisposeAsync()
    {
        await _services.DisposeAsync();
        for (var watch = Stopwatch.StartNew(); _time.Timers.Any() && watch.Elapsed < Patience;)
        {
            await Task.Delay(10);
        }

        Assert.That(_time.Timers, Is.Empty, "timers of the application, which has ended");
    }
}

/// <summary>A Sparkfly on a socket with credentials of its own, and the account that fits it.</summary>
internal static class Sparkfly
{
    public static async Task<StandInServer> StartAsync(Func<StandInOptions, StandInOptions>? change = null)
    {
        // With every path, so that a test may call what it likes.
        StandInOptions options = new() { Identity = SecretSweep.NewSecret("identity"), Key = SecretSweep.NewSecret("key"), Paths = null };
        StandInServer server = await StandInServer.StartAsync(change?.Invoke(options) ?? options);
        server.TokenIssued = static token => SecretSweep.Secret(token);
        return server;
    }

    /// <summary>Makes the options those of the server's account.</summary>
    public static void Use(this SparkflyAuthOptions options, StandInServer server)
    {
        options.BaseAddress = server.BaseAddress;
        options.Identity = server.Options.Identity;
        options.Key = server.Options.Key;
    }

    /// <summary>An application whose client "api" calls the server.</summary>
    public static TestApp App(this StandInServer server, Action<SparkflyAuthOptions>? configure = null, Action<IHttpClientBuilder>? client = null) =>
        new(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.Use(server);
                configure?.Invoke(options);
            });
            IHttpClientBuilder builder = services.AddHttpClient("api").AddSparkflyAuthHandler();
            client?.Invoke(builder);
        });
}
