using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>That an account of this name was registered with <c>AddSparkflyAuth</c>.</summary>
internal sealed record AccountRegistration(string Name);

/// <summary>The accounts of one service provider, by name. Thread-safe.</summary>
internal sealed class SparkflyAccounts(
    IServiceProvider services,
    IEnumerable<AccountRegistration> registrations,
    IOptionsMonitor<SparkflyAuthOptions> monitor,
    IOptionsFactory<SparkflyAuthOptions> factory,
    IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
    ILoggerFactory loggerFactory) : IDisposable
{
    private readonly HashSet<string> _registered = [.. registrations.Select(static r => r.Name)];
    private readonly ConcurrentDictionary<string, SparkflyAccount> _accounts = new();
    private readonly Lock _adding = new();
    private readonly ILogger _logger = loggerFactory.CreateLogger(Log.Category);

    /// <exception cref="InvalidOperationException">No account of this name is registered.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid, and never were valid.</exception>
    public SparkflyAccount Get(string name) => _accounts.TryGetValue(name, out SparkflyAccount? account) ? account : Add(name);

    /// <summary>What is wrong with using this name; null where an account has it.</summary>
    public string? WhyUnknown(string name) => _registered.Contains(name) ? null : name.Length == 0
        ? "The default Sparkfly account is not registered: call services.AddSparkflyAuth()."
        : $"The Sparkfly account '{name}' is not registered: call services.AddSparkflyAuth(\"{name}\", …). Registered: {Registered()}.";

    public void Dispose()
    {
        foreach (SparkflyAccount account in _accounts.Values)
        {
            account.Dispose();
        }
    }

    private SparkflyAccount Add(string name)
    {
        if (WhyUnknown(name) is { } problem)
        {
            throw new InvalidOperationException(problem);
        }

        // One monitor an account: it subscribes to changes for as long as the service provider lives.
        lock (_adding)
        {
            return _accounts.GetOrAdd(name, n =>
                new SparkflyAccount(n, new AccountSettingsMonitor(n, monitor, factory, changes, _logger), services));
        }
    }

    private string Registered() => _registered.Count == 0
        ? "none"
        : string.Join(", ", _registered.Order(StringComparer.Ordinal).Select(static n => n.Length == 0 ? "the default account" : $"'{n}'"));
}
