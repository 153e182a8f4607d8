using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>The accounts of one service provider, by name: the registered ones, and those that a source finds. Thread-safe.</summary>
/// <param name="registered">The registered ones.</param>
/// <param name="tokens">Gets the token provider of a registered account.</param>
/// <param name="sourced">The accounts of a source; null where there is none.</param>
/// <param name="factory">Makes the options of an account.</param>
/// <param name="changes">Tells of their changes.</param>
/// <param name="logger">Is told of reloads.</param>
internal sealed class SparkflyAccounts(
    RegisteredAccounts registered,
    Func<string, ISparkflyTokenProvider> tokens,
    SourcedAccounts? sourced,
    IOptionsFactory<SparkflyAuthOptions> factory,
    IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
    ILogger logger) : IDisposable
{
    private const int LongestList = 20;

    // The names do not change, and a request may ask for an unknown one at any time.
    private readonly Lazy<string> _registered = new(() => List(registered.Names));

    private readonly ILookup<string, IOptionsChangeTokenSource<SparkflyAuthOptions>> _changes = changes.ToLookup(static c => c.Name ?? Options.DefaultName);
    private readonly ConcurrentDictionary<string, SparkflyAccount> _accounts = new();

    // Guarded by the lock.
    private readonly Lock _adding = new();
    private readonly List<AccountSettingsMonitor> _monitors = [];

    /// <summary>Gets an account. Completed at once unless a source has to be asked for it.</summary>
    /// <exception cref="InvalidOperationException">There is no such account.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    public ValueTask<SparkflyAccount> GetAsync(string name, CancellationToken cancellationToken) =>
        GetRegistered(name) is { } account ? new(account)
        : sourced is null ? throw new InvalidOperationException(NotRegistered(name))
        : sourced.GetAsync(name, NotRegistered, cancellationToken);

    /// <summary>Gets a registered account; null where none of this name is registered.</summary>
    /// <exception cref="OptionsValidationException">The account's options are invalid, and never were valid.</exception>
    public SparkflyAccount? GetRegistered(string name) =>
        _accounts.TryGetValue(name, out SparkflyAccount? account) ? account : registered.Names.Contains(name) ? Add(name) : null;

    /// <summary>Why there can be no account of this name; null where there is one, or a source may find one.</summary>
    public string? WhyUnknown(string name) => registered.Names.Contains(name) || sourced is not null ? null : NotRegistered(name);

    public void Dispose()
    {
        lock (_adding)
        {
            _monitors.ForEach(static m => m.Dispose());
        }
    }

    private SparkflyAccount Add(string name)
    {
        // One monitor for each account: it subscribes to changes for as long as the service provider lives.
        lock (_adding)
        {
            if (_accounts.TryGetValue(name, out SparkflyAccount? added))
            {
                return added;
            }

            var settings = new AccountSettingsMonitor(name, factory, _changes[name], logger);
            settings.Start();
            _monitors.Add(settings);
            return _accounts[name] = new SparkflyAccount(name, settings, () => tokens(name));
        }
    }

    private string NotRegistered(string name)
    {
        string shown = AccountName.Shown(name);
        return name.Length > 0 ? $"The Sparkfly account '{shown}' is not registered: call services.AddSparkflyAuth(\"{shown}\", …). Registered: {_registered.Value}."
            : registered.Names.Count == 0 ? "The default Sparkfly account is not registered: call services.AddSparkflyAuth()."
            : $"The default Sparkfly account is not registered: call services.AddSparkflyAuth(), or name the account that is meant. Registered: {_registered.Value}.";
    }

    private static string List(IReadOnlySet<string> names)
    {
        if (names.Count == 0)
        {
            return "none";
        }

        string listed = string.Join(", ", names.Order(StringComparer.Ordinal).Take(LongestList).Select(static n => n.Length == 0 ? "the default account" : $"'{AccountName.Shown(n)}'"));
        return names.Count <= LongestList ? listed : $"{listed} and {names.Count - LongestList} more";
    }
}
