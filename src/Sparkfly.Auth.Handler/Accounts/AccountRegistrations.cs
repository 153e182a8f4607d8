using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The names that were registered with <c>AddSparkflyAuth</c>, and whether a source of accounts was. One object among the services, filled while
/// they are registered: to look for each among all services would take quadratic time.
/// </summary>
/// <param name="owner">The services that it tells of: an application may copy them, and register different accounts with the copies.</param>
[DebuggerDisplay("{Names.Count} accounts")]
internal sealed class AccountRegistrations(IServiceCollection owner)
{
    /// <summary>The name that stands for all accounts of a source.</summary>
    public const string OfSource = "*";

    /// <summary>The registered accounts.</summary>
    public HashSet<string> Names { get; private init; } = [];

    /// <summary>Those whose token is shared through the distributed cache; <see cref="OfSource"/> for all accounts of the source.</summary>
    public HashSet<string> Shared { get; private init; } = [];

    /// <summary>Whether there is a source of accounts.</summary>
    public bool HasSource { get; set; }

    /// <summary>Gets those of these services.</summary>
    public static AccountRegistrations In(IServiceCollection services)
    {
        var found = (AccountRegistrations?)services.FirstOrDefault(static d => d.ServiceType == typeof(AccountRegistrations))?.ImplementationInstance;
        return found is null ? Put(services, new AccountRegistrations(services)) : found.IsOf(services) ? found : Put(services, found.CopyFor(services));
    }

    private bool IsOf(IServiceCollection services) => ReferenceEquals(owner, services);

    private AccountRegistrations CopyFor(IServiceCollection services) => new(services) { Names = [.. Names], Shared = [.. Shared], HasSource = HasSource };

    private static AccountRegistrations Put(IServiceCollection services, AccountRegistrations registrations)
    {
        services.Replace(ServiceDescriptor.Singleton(registrations));
        return registrations;
    }
}
