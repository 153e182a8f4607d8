using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Configuration;
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
    /// <returns>A builder to configure the account further.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="services"/> is <see langword="null"/>.</exception>
    /// <remarks>
    /// Several calls add up, as with options: settings of a later call replace those of an earlier one. With invalid settings the host does not start;
    /// the <see cref="OptionsValidationException"/> lists all of them.
    /// </remarks>
    /// <example>
    /// <code>
    /// builder.Services.AddSparkflyAuth();
    /// builder.Services.AddHttpClient&lt;OffersClient&gt;().AddSparkflyAuthHandler();
    /// </code>
    /// </example>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services) =>
        AddSparkflyAuth(services, "");

    /// <summary>
    /// Registers a named Sparkfly account with the settings in section <c>Sparkfly:{name}</c> of the application's <see cref="IConfiguration"/>, followed
    /// on reload, for an application that serves several.
    /// </summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <example>
    /// <code>
    /// builder.Services.AddSparkflyAuth("north");
    /// builder.Services.AddHttpClient("north").AddSparkflyAuthHandler("north");
    /// </code>
    /// </example>
    /// <param name="services">The services to register it with.</param>
    /// <param name="name">The account's name, case-sensitive; empty for the default account, whose section is <c>Sparkfly</c>.</param>
    /// <returns>A builder to configure the account further.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string path = name.Length == 0 ? SparkflyAuthOptions.SectionName : ConfigurationPath.Combine(SparkflyAuthOptions.SectionName, name);
        return AddAccount(services, name, options => options.BindConfiguration(path), (name, null, path));
    }

    /// <summary>Registers the default Sparkfly account with settings made in code.</summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="configure">Sets the account's options.</param>
    /// <returns>A builder to configure the account further.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, Action<SparkflyAuthOptions> configure) =>
        AddSparkflyAuth(services, "", configure);

    /// <summary>Registers the default Sparkfly account with the settings in a configuration section, followed on reload.</summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="section">The section that has the account's settings.</param>
    /// <returns>A builder to configure the account further.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, IConfiguration section) =>
        AddSparkflyAuth(services, "", section);

    /// <summary>Registers a named Sparkfly account with settings made in code, for an application that serves several.</summary>
    /// <inheritdoc cref="AddSparkflyAuth(IServiceCollection)" path="/remarks"/>
    /// <param name="services">The services to register it with.</param>
    /// <param name="name">The account's name, case-sensitive; empty for the default account.</param>
    /// <param name="configure">Sets the account's options.</param>
    /// <returns>A builder to configure the account further.</returns>
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
    /// <returns>A builder to configure the account further.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAuth(this IServiceCollection services, string name, IConfiguration section)
    {
        ArgumentNullException.ThrowIfNull(section);
        return AddAccount(services, name, options => options.Bind(section), section is IConfigurationSection part ? (name, part, part.Path) : null);
    }

    /// <summary>
    /// Registers a source of accounts that are not registered by name, such as tenants that come and go while the application runs. A request names its
    /// account with <c>request.SetSparkflyAccount(name)</c>.
    /// </summary>
    /// <remarks>
    /// <para>
    /// The source is also asked for the account of a client's handler if that account is not registered. Such a client gets no base address and must
    /// set its own. The source is never asked for a registered name. Of several sources the last one is used.
    /// </para>
    /// <para>The returned builder configures all accounts of the source. They share one client for token requests.</para>
    /// </remarks>
    /// <example>
    /// <code>builder.Services.AddSparkflyAccountSource&lt;TenantAccounts&gt;().UseDistributedCache();</code>
    /// </example>
    /// <typeparam name="TSource">The source. It is created in a scope of its own for each lookup.</typeparam>
    /// <param name="services">The services to register it with.</param>
    /// <returns>A builder to configure the accounts further. Its name is <c>*</c>.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="services"/> is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddSparkflyAccountSource<
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] TSource>(this IServiceCollection services)
        where TSource : class, ISparkflyAccountSource
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddScoped<ISparkflyAccountSource, TSource>();
        SparkflyServices.AddSource(services);
        return new SparkflyAuthBuilder(RegisteredAccounts.OfSource, services);
    }

    private static SparkflyAuthBuilder AddAccount(
        IServiceCollection services,
        string name,
        Action<OptionsBuilder<SparkflyAuthOptions>> configure,
        (string Account, IConfigurationSection? Section, string Path)? section = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(name);
        if (name == RegisteredAccounts.OfSource)
        {
            throw new ArgumentException($"The name \"{name}\" stands for all accounts of an {nameof(ISparkflyAccountSource)}.", nameof(name));
        }

        configure(services.AddOptions<SparkflyAuthOptions>(name));
        SparkflyServices.AddAccount(services, name, section);
        return new SparkflyAuthBuilder(name, services);
    }
}
