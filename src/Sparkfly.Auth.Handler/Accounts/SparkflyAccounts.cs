using System.Collections.Concurrent;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>The accounts of one service provider, by name: the registered ones, and those that a source finds. Thread-safe.</summary>
/// <param name="registered">The registered ones.</param>
/// <param name="tokens">Gets the token provider of a registered account.</param>
/// <param name="sourced">The accounts of a source; null where there is none.</param>
/// <param name="newSettings">Creates the monitor of a registered account's options, which has not read them yet.</param>
internal sealed class SparkflyAccounts(
    RegisteredAccounts registered,
    Func<string, ISparkflyTokenProvider> tokens,
    SourcedAccounts? sourced,
    Func<string, AccountSettingsMonitor> newSettings) : IDisposable
{
    private const int LongestList = 20;

    // The names do not change, and a request may ask for an unknown one at any time.
    private readonly Lazy<string> _registered = new(() => List(registered.Names));

    private readonly ConcurrentDictionary<string, SparkflyAccount> _accounts = new();

    // The accounts whose options are being read in this flow of execution.
    private readonly AsyncLocal<Reading?> _reading = new();

    // Guarded by the lock.
    private readonly Lock _adding = new();
    private readonly List<AccountSettingsMonitor> _monitors = [];

    /// <summary>Of requests that no account is for: they leave without a token, wherever they go.</summary>
    public SparkflyAccount None { get; } = SparkflyAccount.NewNone();

    /// <summary>Gets an account. Completed at once unless a source has to be asked for it, which is never asked for the empty name.</summary>
    /// <exception cref="InvalidOperationException">There is no such account.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    public ValueTask<SparkflyAccount> GetAsync(string name, CancellationToken cancellationToken) =>
        GetRegistered(name) is { } account ? new(account)
        : sourced is null || name.Length == 0 ? throw new InvalidOperationException(NotRegistered(name))
        : sourced.GetAsync(name, NotRegistered, cancellationToken);

    /// <summary>Gets a registered account; null where none of this name is registered.</summary>
    /// <exception cref="OptionsValidationException">The account's options are invalid, and never were valid.</exception>
    /// <exception cref="InvalidOperationException">The account's options are being read, by what asks for the account.</exception>
    public SparkflyAccount? GetRegistered(string name) =>
        _accounts.TryGetValue(name, out SparkflyAccount? account) ? account : registered.Names.Contains(name) ? Add(name) : null;

    /// <summary>Whether the account's options are being read in this flow of execution: by code that sends a request to find them, say.</summary>
    public bool IsBeingRead(string name)
    {
        Reading? reading = _reading.Value;
        while (reading is not null && (reading.HasEnded || reading.Name != name))
        {
            reading = reading.Outer;
        }

        return reading is not null;
    }

    /// <summary>Why there can be no account of this name; null where there is one, or a source may find one.</summary>
    public string? WhyUnknown(string name) => registered.Names.Contains(name) || (sourced is not null && name.Length > 0) ? null : NotRegistered(name);

    /// <summary>
    /// Why there can be no handler of this account; null where there can be one. With a source alone, a handler without a name is for requests that name
    /// their account.
    /// </summary>
    public string? WhyNoHandler(string name) => sourced is not null ? null : WhyUnknown(name);

    public void Dispose()
    {
        lock (_adding)
        {
            _monitors.ForEach(static m => m.Dispose());
        }
    }

    private SparkflyAccount Add(string name)
    {
        if (IsBeingRead(name))
        {
            throw new InvalidOperationException(
                $"{AccountName.Label(name)}: code that configures or validates the options of this account asks for the account itself.");
        }

        SparkflyAccount account;
        AccountSettingsMonitor settings;
        var reading = new Reading(name, _reading.Value);
        try
        {
            _reading.Value = reading;

            // One monitor for each account: it subscribes to changes for as long as the service provider lives.
            lock (_adding)
            {
                if (_accounts.TryGetValue(name, out SparkflyAccount? added))
                {
                    return added;
                }

                settings = newSettings(name);
                settings.Start();
                _monitors.Add(settings);
                account = _accounts[name] = new SparkflyAccount(name, settings, () => tokens(name));
            }
        }
        finally
        {
            // Work that was started meanwhile goes on in this flow's context.
            reading.HasEnded = true;
            _reading.Value = reading.Outer;
        }

        try
        {
            // Not under the lock: loggers are the application's.
            settings.ReportStart();
        }
        catch (Exception)
        {
            // A logger has thrown. The account is good all the same.
        }

        return account;
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

    private sealed class Reading(string name, Reading? outer)
    {
        private volatile bool _hasEnded;

        public string Name => name;

        public Reading? Outer => outer;

        public bool HasEnded
        {
            get => _hasEnded;
            set => _hasEnded = value;
        }
    }
}
