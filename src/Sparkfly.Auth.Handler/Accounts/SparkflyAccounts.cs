using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>The accounts of one service provider, by name: the registered ones, and those that a source finds. Thread-safe.</summary>
internal sealed class SparkflyAccounts : IDisposable
{
    private readonly IServiceProvider _services;
    private readonly IOptionsMonitor<SparkflyAuthOptions> _monitor;
    private readonly IOptionsFactory<SparkflyAuthOptions> _factory;
    private readonly ILookup<string, IOptionsChangeTokenSource<SparkflyAuthOptions>> _changes;
    private readonly ILogger _logger;
    private readonly HashSet<string> _registered;
    private readonly HashSet<string> _shared;
    private readonly SourcedAccounts? _sourced;
    private readonly ConcurrentDictionary<string, SparkflyAccount> _accounts = new();
    private readonly Lock _adding = new();

    // One subscription for all accounts, which may be many: each finds its monitor here.
    private readonly ConcurrentDictionary<string, AccountSettingsMonitor> _monitors = new();
    private readonly IDisposable? _subscription;

    public SparkflyAccounts(
        IServiceProvider services,
        AccountRegistrations registrations,
        IOptionsMonitor<SparkflyAuthOptions> monitor,
        IOptionsFactory<SparkflyAuthOptions> factory,
        IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
        ILoggerFactory loggerFactory)
    {
        _services = services;
        _monitor = monitor;
        _factory = factory;
        _changes = changes.ToLookup(static c => c.Name ?? Options.DefaultName);
        _logger = loggerFactory.CreateLogger(Log.Category);

        // Copies: further ones may be registered, for a service provider to come.
        _registered = [.. registrations.Names];
        _shared = [.. registrations.Shared];
        _sourced = services.GetService<SourcedAccounts>();
        _subscription = monitor.OnChange(OnChange);
    }

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

    /// <summary>Gets an account, registered or of the source. Completed at once unless the source has to be asked.</summary>
    /// <exception cref="InvalidOperationException">There is no such account.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    public ValueTask<SparkflyAccount> GetAsync(string name, CancellationToken cancellationToken) =>
        At(name) is { } account ? new ValueTask<SparkflyAccount>(account) : new ValueTask<SparkflyAccount>(FindAsync(name, cancellationToken));

    /// <summary>Asks the source for an account.</summary>
    /// <exception cref="InvalidOperationException">The source knows no such account.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    public async Task<SparkflyAccount> FindAsync(string name, CancellationToken cancellationToken) =>
        await _sourced!.FindAsync(name, cancellationToken).ConfigureAwait(false) ??
        throw new InvalidOperationException($"{Unknown(name)} The {nameof(ISparkflyAccountSource)} does not know it either.");

    /// <summary>Whether the name is not registered, and there is a source to be asked for it.</summary>
    public bool MayBeOfSource(string name) => _sourced is not null && !_registered.Contains(name);

    /// <summary>Whether the tokens of what was registered with this name are shared with a fleet.</summary>
    public bool IsShared(string registration) => _shared.Contains(registration);

    /// <summary>What is wrong with using this name; null where an account has it, or may have it.</summary>
    public string? WhyUnknown(string name) => _registered.Contains(name) || MayBeOfSource(name) ? null : Unknown(name);

    public void Dispose()
    {
        _subscription?.Dispose();
        lock (_adding)
        {
            foreach (AccountSettingsMonitor monitor in _monitors.Values)
            {
                monitor.Dispose();
            }
        }
    }

    private SparkflyAccount Add(string name)
    {
        // One monitor an account: it subscribes to changes for as long as the service provider lives.
        lock (_adding)
        {
            if (_accounts.TryGetValue(name, out SparkflyAccount? added))
            {
                return added;
            }

            // In its place before it starts, so that no change in between is missed.
            var settings = new AccountSettingsMonitor(name, _monitor, _factory, _changes[name], _logger);
            _monitors[name] = settings;
            try
            {
                settings.Start();
            }
            catch
            {
                _monitors.TryRemove(name, out _);
                throw;
            }

            return _accounts[name] = new SparkflyAccount(name, name, settings, a => a.Name.Length == 0
                ? _services.GetRequiredService<ISparkflyTokenProvider>()
                : _services.GetRequiredKeyedService<ISparkflyTokenProvider>(a.Name));
        }
    }

    private void OnChange(SparkflyAuthOptions options, string? name)
    {
        if (_monitors.TryGetValue(name ?? Options.DefaultName, out AccountSettingsMonitor? settings))
        {
            settings.OnChange();
        }
    }

    private string Unknown(string name) => name.Length == 0
        ? "The default Sparkfly account is not registered: call services.AddSparkflyAuth()."
        : $"The Sparkfly account '{name}' is not registered: call services.AddSparkflyAuth(\"{name}\", …). Registered: {Registered()}.";

    private string Registered() => _registered.Count == 0
        ? "none"
        : string.Join(", ", _registered.Order(StringComparer.Ordinal).Select(static n => n.Length == 0 ? "the default account" : $"'{n}'"));
}
