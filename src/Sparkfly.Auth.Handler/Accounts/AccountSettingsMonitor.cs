using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace Sparkfly.Auth.Handler;

/// <summary>Follows one account's options, and goes on with the last good ones where a reload brings invalid ones. Thread-safe.</summary>
/// <remarks>
/// <see cref="IOptionsMonitor{TOptions}"/> alone does not do that: after an invalid reload its every <c>Get</c> throws, and its
/// <c>OnChange</c> never tells. So the same change tokens are followed here too, with a factory that does not depend on whether the
/// monitor has heard of the change yet.
/// </remarks>
internal sealed class AccountSettingsMonitor : CurrentSettings, IDisposable
{
    private readonly string _name;
    private readonly IOptionsMonitor<SparkflyAuthOptions> _monitor;
    private readonly IOptionsFactory<SparkflyAuthOptions> _factory;
    private readonly ILogger _logger;
    private readonly List<IDisposable> _subscriptions = [];
    private readonly Lock _reloading = new();

    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    public AccountSettingsMonitor(
        string name,
        IOptionsMonitor<SparkflyAuthOptions> monitor,
        IOptionsFactory<SparkflyAuthOptions> factory,
        IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
        ILogger logger)
    {
        _name = name;
        _monitor = monitor;
        _factory = factory;
        _logger = logger;
        lock (_reloading)
        {
            // Subscribed before the first look: a change in between waits at the lock.
            if (monitor.OnChange(OnChange) is { } subscription)
            {
                _subscriptions.Add(subscription);
            }

            foreach (IOptionsChangeTokenSource<SparkflyAuthOptions> source in changes.Where(c => (c.Name ?? Options.DefaultName) == name))
            {
                _subscriptions.Add(ChangeToken.OnChange(source.GetChangeToken, () => Reload(static m => m._factory.Create(m._name))));
            }

            try
            {
                // Unless what configures the options has changed them meanwhile, on this very thread.
                AccountSettings read = AccountSettings.From(monitor.Get(name));
                Take(Current ?? read);
            }
            catch
            {
                Dispose();
                throw;
            }
        }
    }

    public void Dispose() => _subscriptions.ForEach(static s => s.Dispose());

    private void OnChange(SparkflyAuthOptions options, string? name)
    {
        if ((name ?? Options.DefaultName) == _name)
        {
            Reload(static m => m._monitor.Get(m._name));
        }
    }

    // Read under the lock, so that of several changes at a time the last one stays.
    private void Reload(Func<AccountSettingsMonitor, SparkflyAuthOptions> read)
    {
        lock (_reloading)
        {
            try
            {
                if (Take(AccountSettings.From(read(this))))
                {
                    Log.SettingsChanged(_logger, _name);
                }
            }
            catch (OptionsValidationException exception)
            {
                Log.InvalidReload(_logger, _name, exception.Message);
            }
            catch (Exception exception)
            {
                // The monitor's own callback throws the same out of Reload(); thrown here too it would be told twice.
                // The binder's message repeats the value that does not fit its setting, which may be a secret in the wrong place.
                Log.InvalidReload(_logger, _name, $"{exception.GetType().Name}; the exception leaves the reload");
            }
        }
    }
}
