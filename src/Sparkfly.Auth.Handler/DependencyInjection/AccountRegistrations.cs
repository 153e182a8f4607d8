using System.Diagnostics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The names that are registered with <c>AddSparkflyAuth</c>. One object among the services, filled while they are registered: to look for each account
/// among all services would take quadratic time.
/// </summary>
/// <param name="owner">The services that it belongs to: an application may copy them, and register different accounts with the copies.</param>
[DebuggerDisplay("{Names.Count} accounts")]
internal sealed class AccountRegistrations(IServiceCollection owner)
{
    /// <summary>The registered accounts.</summary>
    public HashSet<string> Names { get; private init; } = [];

    /// <summary>Those whose token is shared with a fleet; <see cref="RegisteredAccounts.OfSource"/> for all accounts of the source.</summary>
    public HashSet<string> Shared { get; private init; } = [];

    /// <summary>Whether accounts of a source are registered.</summary>
    public bool HasSource { get; set; }

    /// <summary>The configuration sections of accounts: the section, or its path in the application's configuration.</summary>
    public List<(string Account, IConfigurationSection? Section, string Path)> Sections { get; private init; } = [];

    /// <summary>The services of the application.</summary>
    public IServiceCollection Services { get; } = owner;

    /// <summary>Where our builder is among the services, and how many of them there were when <see cref="PipelineBuilder.Decorate"/> looked last.</summary>
    public (int Builder, int Count) Looked { get; set; }

    /// <summary>What is registered now, for one service provider.</summary>
    public RegisteredAccounts Freeze() => new(Names.ToHashSet(), Shared.ToHashSet(), HasSource);

    /// <summary>Gets those of these services; null where nothing is registered with them yet.</summary>
    public static AccountRegistrations? In(IServiceCollection services) => Find(services) is { } found && ReferenceEquals(found.Services, services) ? found : null;

    /// <summary>Adds those of these services, which may be a copy of others.</summary>
    public static AccountRegistrations AddTo(IServiceCollection services)
    {
        AccountRegistrations registrations = Find(services) is { } copied
            ? new AccountRegistrations(services) { Names = [.. copied.Names], Shared = [.. copied.Shared], Sections = [.. copied.Sections], HasSource = copied.HasSource }
            : new AccountRegistrations(services);
        services.Replace(ServiceDescriptor.Singleton(registrations));
        return registrations;
    }

    /// <summary>
    /// Gets those of these services, or of the ones that they are a copy or a view of, as the <see cref="IServiceCollection"/> of an
    /// <see cref="IHttpClientBuilder"/> is; null where there are none.
    /// </summary>
    public static AccountRegistrations? Find(IServiceCollection services) =>
        (AccountRegistrations?)services.FirstOrDefault(static d => d.ServiceType == typeof(AccountRegistrations))?.ImplementationInstance;
}
