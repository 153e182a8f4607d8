using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Sparkfly.Auth.Handler;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers Sparkfly accounts.</summary>
public static class SparkflyAuthServiceCollectionExtensions
{
    /// <summary>
    /// Registers the default Sparkfly account with the settings in section <c>Sparkfly</c> of the application's
    /// <see cref="IConfiguration"/>, followed on reload.
    /// </summary>
    /// <param name="services">The services to register it with.</param>
    /// <returns>A builder for what else there is to configure.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="services"/> is <see langword="null"/>.</exception>
    /// <remarks>
    /// Calls add up, as options do: settings of a later call replace those of an earlier one. Invalid settings stop the host when it starts,
    /// with an <see cref="OptionsValidationException"/> that lists all of them.
    /// </remarks>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services) =>
        AddAccount(services, "", static options => options.BindConfiguration(SparkflyAuthOptions.SectionName));

    /// <summary>Registers the default Sparkfly account with settings made in code.</summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="configure">Sets the account's options.</param>
    /// <returns>A builder for what else there is to configure.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, Action<SparkflyAuthOptions> configure) =>
        AddSparkflyAuth(services, "", configure);

    /// <summary>Registers the default Sparkfly account with the settings in a configuration section, followed on reload.</summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="section">The section that has the account's settings.</param>
    /// <returns>A builder for what else there is to configure.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, IConfiguration section) =>
        AddSparkflyAuth(services, "", section);

    /// <summary>Registers a named Sparkfly account with settings made in code, for an application that serves several.</summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="name">The account's name, case-sensitive; empty for the default account.</param>
    /// <param name="configure">Sets the account's options.</param>
    /// <returns>A builder for what else there is to configure.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, string name, Action<SparkflyAuthOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        return AddAccount(services, name, options => options.Configure(configure));
    }

    /// <summary>
    /// Registers a named Sparkfly account with the settings in a configuration section, followed on reload, for an application that serves
    /// several.
    /// </summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="name">The account's name, case-sensitive; empty for the default account.</param>
    /// <param name="section">The section that has the account's settings.</param>
    /// <returns>A builder for what else there is to configure.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, string name, IConfiguration section)
    {
        ArgumentNullException.ThrowIfNull(section);
        return AddAccount(services, name, options => options.Bind(section));
    }

    /// <summary>
    /// Registers a source of accounts that are not registered by name: tenants that come and go while the application runs. Requests choose theirs
    /// with <c>request.SetSparkflyAccount(name)</c>.
    /// </summary>
    /// <remarks>
    /// <para>
    /// A client whose handler's own account is not registered asks the source for it as well, and gets no base address from it: it sets its own. The
    /// source is never asked for a registered name. Of several sources the last one is asked.
    /// </para>
    /// <para>What is configured with the returned builder holds for all accounts of the source. They share one client for token requests.</para>
    /// </remarks>
    /// <typeparam name="TSource">The source; it is made in a scope of its own for each question.</typeparam>
    /// <param name="services">The services to register it with.</param>
    /// <returns>A builder for what else there is to configure; its name is <c>*</c>.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="services"/> is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAccountSource<
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] TSource>(this IServiceCollection services)
        where TSource : class, ISparkflyAccountSource
    {
        ArgumentNullException.ThrowIfNull(services);
        AccountRegistrations registrations = AddSparkflyAuthCore(services);
        services.AddScoped<ISparkflyAccountSource, TSource>();
        if (!registrations.HasSource)
        {
            registrations.HasSource = true;
            AddAuthClient(services, AccountRegistrations.OfSource);
            services.AddSingleton(NewSourcedAccounts);
            AddDefaultHandler(services);
        }

        return new SparkflyAuthBuilder(AccountRegistrations.OfSource, services);
    }

    private static SparkflyAuthBuilder AddAccount(
        IServiceCollection services, string name, Action<OptionsBuilder<SparkflyAuthOptions>> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(name);
        if (name == AccountRegistrations.OfSource)
        {
            throw new ArgumentException($"The name \"{name}\" stands for all accounts of an {nameof(ISparkflyAccountSource)}.", nameof(name));
        }

        AccountRegistrations registrations = AddSparkflyAuthCore(services);
        configure(services.AddOptions<SparkflyAuthOptions>(name));

        if (registrations.Names.Add(name))
        {
            AddTokenProvider(services, name);
            AddAuthClient(services, name);

            // Validated when the host starts, and remembered from then on: an invalid reload before the first request must find good settings.
            services.AddStartupCheck($"account {name}", provider => provider.GetRequiredService<SparkflyAccounts>().Get(name));
        }

        return new SparkflyAuthBuilder(name, services);
    }

    private static void AddTokenProvider(IServiceCollection services, string name)
    {
        // TryAdd: the application may have put its own in place before; after, it replaces ours anyway.
        if (name.Length == 0)
        {
            services.TryAddSingleton<ISparkflyTokenProvider>(static provider => NewTokenProvider(provider, ""));
            AddDefaultHandler(services);
        }
        else
        {
            services.TryAddKeyedSingleton<ISparkflyTokenProvider>(name, static (provider, key) => NewTokenProvider(provider, (string)key!));
        }
    }

    private static void AddDefaultHandler(IServiceCollection services) =>
        services.TryAddTransient(static provider => provider.GetRequiredService<SparkflyHandlerFactory>().Create(""));

    private static void AddAuthClient(IServiceCollection services, string name) =>
        services.AddHttpClient(SparkflyAuthClient.ClientName(name))

            // What is there already comes from ConfigureHttpClientDefaults: a retry there would make one attempt several POSTs.
            .ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Clear())

            // AuthTimeout is the bound, on the application's clock.
            .ConfigureHttpClient(static client => client.Timeout = Timeout.InfiniteTimeSpan);

    private static SourcedAccounts NewSourcedAccounts(IServiceProvider services) => new(
        services.GetRequiredService<IServiceScopeFactory>(),
        services.GetServices<IValidateOptions<SparkflyAuthOptions>>(),
        account => NewTokenProvider(services, account, AccountRegistrations.OfSource),
        services.GetTime(),
        services.GetSparkflyLogger(),
        services.GetRequiredService<AccountTokensRegistry>().Disposing);

    private static SparkflyTokenProvider NewTokenProvider(IServiceProvider services, string name) =>
        NewTokenProvider(services, services.GetRequiredService<SparkflyAccounts>().Get(name), name);

    private static SparkflyTokenProvider NewTokenProvider(IServiceProvider services, SparkflyAccount account, string registration) => new(
        account,
        services.GetRequiredService<AccountTokensRegistry>(),
        services.GetRequiredService<SparkflyAuthClient>(),
        services.GetRequiredService<SparkflyAccounts>().IsShared(registration)
            ? new SharedTokens(account.Name, services.GetRequiredService<BoundedCache>(), services.GetTime(), services.GetSparkflyLogger())
            : null,
        services.GetRequiredService<IMemoryCache>(),
        services.GetTime(),
        services.GetSparkflyLogger());

    /// <summary>What accounts and clients both stand on, in whichever order they are registered.</summary>
    internal static AccountRegistrations AddSparkflyAuthCore(this IServiceCollection services)
    {
        if (AccountRegistrations.In(services) is { } registrations)
        {
            return registrations;
        }

        services.AddHttpClient();
        services.AddMemoryCache();
        services.AddMetrics();
        services.TryAddSingleton<SparkflyMetrics>();
        services.TryAddSingleton<SparkflyAccounts>();
        services.TryAddSingleton(static provider => new PrimaryHandlers(provider.GetSparkflyLogger()));
        services.TryAddSingleton(static provider => new SparkflyHandlerFactory(
            provider.GetRequiredService<SparkflyAccounts>(),
            provider.GetRequiredService<PrimaryHandlers>(),
            provider.GetRequiredService<SparkflyMetrics>(),
            provider.GetTime(),
            provider.GetSparkflyLogger()));
        services.TryAddSingleton(static provider => new AccountTokensRegistry(provider.GetTime()));
        services.TryAddSingleton(static provider => new SparkflyAuthClient(
            provider.GetRequiredService<IHttpClientFactory>(),
            provider.GetRequiredService<SparkflyMetrics>(),
            provider.GetTime(),
            provider.GetSparkflyLogger()));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<SparkflyAuthOptions>, SparkflyAuthOptionsValidator>());
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<HttpClientFactoryOptions>, SecretHeaderRedaction>());
        PipelineBuilder.Decorate(services);
        return AccountRegistrations.AddTo(services);
    }

    /// <summary>Shares the account's token through the distributed cache.</summary>
    internal static void AddFleet(this IServiceCollection services, string name)
    {
        if (services.AddSparkflyAuthCore().Shared.Add(name))
        {
            services.TryAddSingleton(static provider => new BoundedCache(GetDistributedCache(provider), provider.GetTime()));
            services.AddStartupCheck($"fleet {name}", static provider => provider.GetRequiredService<BoundedCache>());
            services.AddWarmUpService();
        }
    }

    /// <summary>Gets the account's token while the host starts.</summary>
    internal static void AddWarmUp(this IServiceCollection services, string name, WarmUp warmUp)
    {
        services.Configure<WarmUpOptions>(options => options.Accounts[name] = warmUp);
        services.AddWarmUpService();
    }

    private static void AddWarmUpService(this IServiceCollection services) =>
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, WarmUpService>(static provider => new WarmUpService(
            provider.GetRequiredService<SparkflyAccounts>(),
            provider.GetService<BoundedCache>(),
            provider.GetRequiredService<IOptions<WarmUpOptions>>(),
            provider.GetTime(),
            provider.GetSparkflyLogger())));

    /// <summary>Runs a check when the host starts, beside the platform's own checks of options.</summary>
    internal static void AddStartupCheck(this IServiceCollection services, string name, Action<IServiceProvider> check) =>
        services.AddOptions<StartupCheck>(name).Configure<IServiceProvider>((_, provider) => check(provider)).ValidateOnStart();

    /// <summary>Stops the host when it starts, where this account is not registered.</summary>
    /// <param name="services">The services of the host.</param>
    /// <param name="user">Who asks for the account, to begin the message with.</param>
    /// <param name="account">The account's name.</param>
    internal static void AddAccountCheck(this IServiceCollection services, string user, string account) =>
        services.AddStartupCheck($"{user} {account}", provider =>
        {
            if (provider.GetRequiredService<SparkflyAccounts>().WhyUnknown(account) is { } problem)
            {
                throw new OptionsValidationException(account, typeof(SparkflyAuthOptions), [$"{user} asks for an account: {problem}"]);
            }
        });

    private static IDistributedCache GetDistributedCache(IServiceProvider services) =>
        services.GetKeyedService<IDistributedCache>(SparkflyAuthBuilder.DistributedCacheKey) ??
        services.GetService<IDistributedCache>() ??
        throw new OptionsValidationException("", typeof(SparkflyAuthOptions), [
            "UseDistributedCache needs an IDistributedCache, and none is registered: call services.AddStackExchangeRedisCache(…), say, or register one " +
            $"with the key \"{SparkflyAuthBuilder.DistributedCacheKey}\"."]);

    private static TimeProvider GetTime(this IServiceProvider services) => services.GetService<TimeProvider>() ?? TimeProvider.System;

    private static ILogger GetSparkflyLogger(this IServiceProvider services) =>
        services.GetRequiredService<ILoggerFactory>().CreateLogger(Log.Category);

    /// <summary>Options without settings: what the platform validates at start is what we do when they are made.</summary>
    private sealed class StartupCheck;
}
