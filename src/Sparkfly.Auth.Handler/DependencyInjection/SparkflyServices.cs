using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>The package's own services, and how they are put together.</summary>
internal static class SparkflyServices
{
    private const string NoDistributedCache =
        "UseDistributedCache needs an IDistributedCache, and none is registered: call services.AddStackExchangeRedisCache(…), say, or register one " +
        $"with the key \"{SparkflyAuthBuilder.DistributedCacheKey}\".";

    /// <summary>Adds what accounts and clients both need, in any order of registration.</summary>
    public static AccountRegistrations AddCore(IServiceCollection services)
    {
        if (AccountRegistrations.In(services) is { } registrations)
        {
            PipelineBuilder.Decorate(services, registrations);
            return registrations;
        }

        services.AddHttpClient();
        services.AddMemoryCache();
        services.TryAddSingleton<SparkflyMetrics>();
        services.TryAddSingleton(static provider => new SparkflyLogger(provider));
        services.TryAddSingleton(static provider => provider.GetRequiredService<AccountRegistrations>().Freeze());
        services.TryAddSingleton(NewSections);
        services.TryAddSingleton(NewAccounts);
        services.TryAddSingleton(static provider => new PrimaryHandlers(Logger(provider)));
        services.TryAddSingleton(static provider => new TokenStates(Time(provider)));
        services.TryAddSingleton(static provider => new AuthEndpoints(Logger(provider)));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<SparkflyAuthOptions>, SparkflyAuthOptionsValidator>());
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<HttpClientFactoryOptions>, SecretHeaderRedaction>());
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<HttpClientFactoryOptions>, AuthClientHandlers>());
        registrations = AccountRegistrations.AddTo(services);
        PipelineBuilder.Decorate(services, registrations);
        return registrations;
    }

    /// <summary>Adds what a client or a health check needs, which changes no account.</summary>
    public static void AddCoreOfClients(IServiceCollection services)
    {
        if (AccountRegistrations.Find(services) is { } registrations)
        {
            PipelineBuilder.Decorate(services, registrations);
        }
        else
        {
            AddCore(services);
        }
    }

    /// <summary>Adds a registered account, once, and each section that it is bound to.</summary>
    public static void AddAccount(IServiceCollection services, string name, (string Account, IConfigurationSection? Section, string Path)? section)
    {
        AccountRegistrations registrations = AddCore(services);
        if (section is { } bound)
        {
            registrations.Sections.Add(bound);
        }

        if (!registrations.Names.Add(name))
        {
            return;
        }

        // TryAdd: the application may have registered its own before. After, it replaces ours anyway.
        if (name.Length == 0)
        {
            services.TryAddSingleton<ISparkflyTokenProvider>(static provider => NewTokenProvider(provider, ""));
            AddDefaultHandler(services);
        }
        else
        {
            services.TryAddKeyedSingleton<ISparkflyTokenProvider>(name, static (provider, key) => NewTokenProvider(provider, (string)key!));
        }

        AddAuthClient(services, name);
        StartupChecks.AddOptionsCheck(services, name);
    }

    /// <summary>Adds the accounts of a source, once.</summary>
    public static void AddSource(IServiceCollection services)
    {
        AccountRegistrations registrations = AddCore(services);
        if (registrations.HasSource)
        {
            return;
        }

        registrations.HasSource = true;
        services.AddSingleton(NewSourcedAccounts);
        AddDefaultHandler(services);
        AddAuthClient(services, RegisteredAccounts.OfSource);
    }

    /// <summary>Shares the tokens of a registration through the distributed cache.</summary>
    public static void AddFleet(IServiceCollection services, string registration)
    {
        if (AddCore(services).Shared.Add(registration))
        {
            services.TryAddSingleton(static provider => new BoundedCache(DistributedCacheFactory(provider), Time(provider)));
            AddWarmUpService(services);
        }
    }

    /// <summary>Gets an account's token while the host starts.</summary>
    public static void AddWarmUp(IServiceCollection services, string name, WarmUp warmUp)
    {
        services.Configure<WarmUpOptions>(options => options.Accounts[name] = warmUp);
        AddWarmUpService(services);
    }

    /// <summary>Makes a handler for one pipeline.</summary>
    /// <exception cref="InvalidOperationException">No account of this name is registered.</exception>
    public static SparkflyAuthHandler NewHandler(IServiceProvider provider, string account)
    {
        var accounts = provider.GetRequiredService<SparkflyAccounts>();
        return accounts.WhyNoHandler(account) is { } problem
            ? throw new InvalidOperationException(problem)
            : new SparkflyAuthHandler(
                account, accounts, provider.GetRequiredService<PrimaryHandlers>(), provider.GetRequiredService<SparkflyMetrics>(), Time(provider), Logger(provider));
    }

    private static void AddDefaultHandler(IServiceCollection services) => services.TryAddTransient(static provider => NewHandler(provider, ""));

    private static void AddAuthClient(IServiceCollection services, string registration) =>
        services.AddHttpClient(SparkflyAuthClient.ClientName(registration))

            // AuthTimeout is the bound, on the application's clock.
            .ConfigureHttpClient(static client => client.Timeout = Timeout.InfiniteTimeSpan);

    private static void AddWarmUpService(IServiceCollection services) =>
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, WarmUpService>(static provider => new WarmUpService(
            provider.GetRequiredService<SparkflyAccounts>(),
            provider.GetRequiredService<RegisteredAccounts>().Shared.Count > 0 ? provider.GetRequiredService<BoundedCache>() : null,
            () => StartTelemetry(provider),
            provider.GetRequiredService<IOptions<WarmUpOptions>>(),
            Time(provider),
            Logger(provider))));

    /// <summary>
    /// Creates OpenTelemetry's providers, which listen from then on. Its own service does that too, but only after the first token request.
    /// </summary>
    private static void StartTelemetry(IServiceProvider provider)
    {
        foreach (Type service in provider.GetRequiredService<AccountRegistrations>().Services.Select(static d => d.ServiceType).Distinct().ToList())
        {
            if (service.FullName is "OpenTelemetry.Trace.TracerProvider" or "OpenTelemetry.Metrics.MeterProvider")
            {
                _ = provider.GetService(service);
            }
        }
    }

    private static AccountSections NewSections(IServiceProvider provider)
    {
        var configuration = provider.GetService<IConfiguration>();
        return new AccountSections(provider.GetRequiredService<AccountRegistrations>().Sections.ToLookup(
            static s => s.Account,
            s => new AccountSection(s.Section ?? configuration?.GetSection(s.Path) ?? throw new InvalidOperationException(
                $"{AccountName.Label(s.Account)}: the settings are in the configuration section '{s.Path}', and no IConfiguration is registered. A host " +
                "registers it. Without a host call services.AddSingleton<IConfiguration>(configuration), or set the options in code: " +
                "services.AddSparkflyAuth(options => …)."))));
    }

    private static SparkflyAccounts NewAccounts(IServiceProvider provider)
    {
        var registered = provider.GetRequiredService<RegisteredAccounts>();
        return new SparkflyAccounts(
            registered,
            name => name.Length == 0
                ? provider.GetRequiredService<ISparkflyTokenProvider>()
                : provider.GetRequiredKeyedService<ISparkflyTokenProvider>(name),

            // Not GetService: some containers construct a class that is not registered.
            registered.HasSource ? provider.GetRequiredService<SourcedAccounts>() : null,
            NewSettings(provider));
    }

    /// <summary>Resolves what makes options when they are read: it may need a client, and so one of our handlers.</summary>
    private static Func<string, AccountSettingsMonitor> NewSettings(IServiceProvider provider)
    {
        var changes = new Lazy<ILookup<string, IOptionsChangeTokenSource<SparkflyAuthOptions>>>(() =>
            provider.GetServices<IOptionsChangeTokenSource<SparkflyAuthOptions>>().ToLookup(static c => c.Name ?? Options.DefaultName));

        // One for all accounts: each would hold the registrations of all. Code that it runs may ask for an account, and so for a factory.
        var factory = new Lazy<IOptionsFactory<SparkflyAuthOptions>>(
            provider.GetRequiredService<IOptionsFactory<SparkflyAuthOptions>>, LazyThreadSafetyMode.PublicationOnly);
        return name =>
        {
            IEnumerable<AccountSection> sections = provider.GetRequiredService<AccountSections>().Of(name);
            return new AccountSettingsMonitor(
                name,
                factory.Value,
                changes.Value[name],
                new SettingsReport(name, sections, provider.GetService<IHostEnvironment>()?.IsProduction() == true, Logger(provider)));
        };
    }

    private static SourcedAccounts NewSourcedAccounts(IServiceProvider provider) => new(
        provider.GetRequiredService<IServiceScopeFactory>(),
        new(provider.GetServices<IValidateOptions<SparkflyAuthOptions>>),
        (name, settings) => NewTokenProvider(provider, name, settings, RegisteredAccounts.OfSource),
        Time(provider),
        Logger(provider),
        provider.GetRequiredService<TokenStates>().Disposing);

    private static SparkflyTokenProvider NewTokenProvider(IServiceProvider provider, string name) =>
        NewTokenProvider(provider, name, provider.GetRequiredService<SparkflyAccounts>().GetRegistered(name)!.Current, name);

    /// <summary>A provider over its sources: the memory cache, round the fleet where there is one, round the token request.</summary>
    private static SparkflyTokenProvider NewTokenProvider(IServiceProvider provider, string name, CurrentSettings settings, string registration)
    {
        TimeProvider time = Time(provider);
        ILogger logger = Logger(provider);
        ITokenSource source = new SparkflyAuthClient(
            SparkflyAuthClient.ClientName(registration),
            provider.GetRequiredService<IHttpClientFactory>(),
            provider.GetRequiredService<AuthEndpoints>(),
            provider.GetRequiredService<SparkflyMetrics>(),
            time);
        if (provider.GetRequiredService<RegisteredAccounts>().Shared.Contains(registration))
        {
            source = new FleetTokenSource(name, provider.GetRequiredService<BoundedCache>(), source, time, logger);
        }

        source = new MemoryCacheTokenSource(name, provider.GetRequiredService<IMemoryCache>(), source, time, logger);
        return new SparkflyTokenProvider(name, settings, provider.GetRequiredService<TokenStates>(), source, time, logger);
    }

    /// <summary>Makes the cache when it is used, since that may fail or take long. Only whether one is registered is found out now.</summary>
    private static Func<IDistributedCache> DistributedCacheFactory(IServiceProvider provider)
    {
        // A container without keyed services has no keyed cache, and throws where it is asked for one.
        bool isKeyed =
            provider.GetService<IServiceProviderIsKeyedService>()?.IsKeyedService(typeof(IDistributedCache), SparkflyAuthBuilder.DistributedCacheKey) == true;

        // A container that cannot tell is believed to have one.
        if (!isKeyed && provider.GetService<IServiceProviderIsService>()?.IsService(typeof(IDistributedCache)) == false)
        {
            throw new OptionsValidationException("", typeof(SparkflyAuthOptions), [NoDistributedCache]);
        }

        return () =>
            (isKeyed ? provider.GetKeyedService<IDistributedCache>(SparkflyAuthBuilder.DistributedCacheKey) : null) ??
            provider.GetService<IDistributedCache>() ??
            throw new InvalidOperationException(NoDistributedCache);
    }

    private static TimeProvider Time(IServiceProvider provider) => provider.GetService<TimeProvider>() ?? TimeProvider.System;

    private static SparkflyLogger Logger(IServiceProvider provider) => provider.GetRequiredService<SparkflyLogger>();
}
