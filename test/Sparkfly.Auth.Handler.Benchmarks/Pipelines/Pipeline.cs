using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Internal;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>What stands in a pipeline between the caller and the network.</summary>
internal enum Authentication
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary><see cref="ConstantHeaderHandler"/>.</summary>
    ConstantHeader,

    /// <summary><see cref="SparkflyAuthHandler"/>, with the options' defaults.</summary>
    Sparkfly,

    /// <summary><see cref="HandWrittenHandler"/>.</summary>
    HandWritten,
}

/// <summary>
/// One of the pipelines that are compared, made by <see cref="IHttpClientFactory"/>. Apart from the one handler they are the same: the factory's
/// lifetime and logging handlers (nothing listens to the log), and the same primary handler.
/// </summary>
internal sealed class Pipeline : IDisposable
{
    private const string ClientName = "api";

    private readonly ServiceProvider _services;

    /// <param name="authentication">What is compared.</param>
    /// <param name="sparkfly">The service that answers token requests.</param>
    /// <param name="api">The primary handler of the API's client.</param>
    /// <param name="time">The clock, the cache's too; null for the system's.</param>
    public Pipeline(Authentication authentication, FakeSparkfly sparkfly, HttpMessageHandler api, TimeProvider? time = null)
    {
        var services = new ServiceCollection();
        IHttpClientBuilder client = services.AddHttpClient(ClientName).ConfigurePrimaryHttpMessageHandler(() => api);
        switch (authentication)
        {
            case Authentication.ConstantHeader:
                client.AddHttpMessageHandler(static () => new ConstantHeaderHandler(new string('a', 64)));
                break;

            case Authentication.Sparkfly:
                services
                    .AddSparkflyAuth(static options =>
                    {
                        options.BaseAddress = FakeSparkfly.BaseAddress;
                        options.Identity = "identity";
                        options.Key = "key";
                    })
                    .ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => sparkfly.Auth));
                client.AddSparkflyAuthHandler();
                break;

            case Authentication.HandWritten:
                services.AddMemoryCache();
                services.AddSingleton<HandWrittenTokens>();
                services.AddHttpClient(HandWrittenTokens.AuthClient).ConfigurePrimaryHttpMessageHandler(() => sparkfly.Auth);
                client.AddHttpMessageHandler(static provider => new HandWrittenHandler(provider.GetRequiredService<HandWrittenTokens>()));
                break;
        }

        if (time is not null)
        {
            services.AddSingleton(time);
            services.Configure<MemoryCacheOptions>(options => options.Clock = new CacheClock(time));
        }

        _services = services.BuildServiceProvider();
    }

    /// <summary>The pipeline itself, without what <see cref="HttpClient"/> adds to every request (its timeout's timer, for one).</summary>
    public HttpMessageInvoker Invoker() =>
        new(_services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler(ClientName), disposeHandler: false);

    /// <summary>The client as an application has it.</summary>
    public HttpClient Client() => _services.GetRequiredService<IHttpClientFactory>().CreateClient(ClientName);

    public void Dispose() => _services.Dispose();
}

/// <summary>The clock of an application, for its cache.</summary>
internal sealed class CacheClock(TimeProvider time) : ISystemClock
{
    public DateTimeOffset UtcNow => time.GetUtcNow();
}
