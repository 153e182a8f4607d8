using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>That an account of this name was registered with <c>AddSparkflyAuth</c>, or a source of accounts.</summary>
internal sealed record AccountRegistration(string Name)
{
    /// <summary>The name that stands for all accounts of a source.</summary>
    public const string OfSource = "*";
}

/// <summary>The accounts of one service provider, by name: the registered ones, and those that a source finds. Thread-safe.</summary>
internal sealed class SparkflyAccounts(
    IServiceProvider services,
    IEnumerable<AccountRegistration> registrations,
    IOptionsMonitor<SparkflyAuthOptions> monitor,
    IOptionsFactory<SparkflyAuthOptions> factory,
    IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
    ILoggerFactory loggerFactory) : IDisposable
{
    private readonly HashSet<string> _registered = [.. registrations.Select(static r => r.Name).Where(static n => n != AccountRegistration.OfSource)];
    private readonly SourcedAccounts? _sourced = services.GetService<SourcedAccounts>();
    private readonly ConcurrentDictionary<string, SparkflyAccount> _accounts = new();
    private readonly List<AccountSettingsMonitor> _monitors = [];
    private readonly Lock _adding = new();
    private readonly ILogger _logger = loggerFactory.CreateLogger(Log.Category);

    /// <summary>Gets a registered account.</summary>
    /// <exception cref="InvalidOperationException">No account of this name is registered.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid, and never were valid.</exception>
    public SparkflyAccount Get(string name) => _accounts.TryGetValue(name, out SparkflyAccount? account) ? account
        : _registered.Contains(name) ? Add(name)
        : throw new InvalidOperationException(Unknown(name));

    /// <summary>Gets an account that can be had without asking for it; null where <see cref="FindAsync"/> has to ask the source.</summary>
    /// <inheritdoc cref="Get" path="/exception"/>
    public SparkflyAccount? At(string name) =>
        _accounts.TryGetValue(name, out SparkflyAccount? account) ? account : MayBeOfSource(name) ? _sourced!.Kept(name) : Get(name);

    /// <summary>Asks the source for an account.</summary>
    /// <exception cref="InvalidOperationException">The source knows no such account.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    public async Task<SparkflyAccount> FindAsync(string name, CancellationToken cancellationToken) =>
        await _sourced!.FindAsync(name, cancellationToken).ConfigureAwait(false) ??
        throw new InvalidOperationException($"{Unknown(name)} The {nameof(ISparkflyAccountSource)} does not know it either.");

    /// <summary>Whether the name is not registered, and there is a source to be asked for it.</summary>
    public bool MayBeOfSource(string name) => _sourced is not null && !_registered.Contains(name);

    /// <summary>What is wrong with using this name; null where an account has it, or may have it.</summary>
    public string? WhyUnknown(string name) => _registered.Contains(name) || MayBeOfSource(name) ? null : Unknown(name);

    public void Dispose()
    {
        lock (_adding)
        {
            _monitors.ForEach(static m => m.Dispose());
        }
    }

    private SparkflyAccount Add(string name)
    {
        // One monitor an account: it subscribes to changes for as long as the service provider lives.
        lock (_adding)
        {
            return _accounts.GetOrAdd(name, n =>
            {
                var settings = new AccountSettingsMonitor(n, monitor, factory, changes, _logger);
                _monitors.Add(settings);
                return new SparkflyAccount(n, n, settings, a => a.Name.Length == 0
                    ? services.GetRequiredService<ISparkflyTokenProvider>()
                    : services.GetRequiredKeyedService<ISparkflyTokenProvider>(a.Name));
            });
        }
    }

    private string Unknown(string name) => name.Length == 0
        ? "The default Sparkfly account is not registered: call services.AddSparkflyAuth()."
        : $"The Sparkfly account '{name}' is not registered: call services.AddSparkflyAuth(\"{name}\", …). Registered: {Registered()}.";

    private string Registered() => _registered.Count == 0
        ? "none"
        : string.Join(", ", _registered.Order(StringComparer.Ordinal).Select(static n => n.Length == 0 ? "the default account" : $"'{n}'"));
}
