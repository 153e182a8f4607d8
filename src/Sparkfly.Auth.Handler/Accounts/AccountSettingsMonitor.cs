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
/// <param name="name">The account's name.</param>
/// <param name="monitor">Whoever subscribes to it calls <see cref="OnChange"/>, from before <see cref="Start"/> on.</param>
/// <param name="factory">Makes the options anew.</param>
/// <param name="changes">What tells of changes of this account's options.</param>
/// <param name="logger">Is told of reloads.</param>
internal sealed class AccountSettingsMonitor(
    string name,
    IOptionsMonitor<SparkflyAuthOptions> monitor,
    IOptionsFactory<SparkflyAuthOptions> factory,
    IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
    ILogger logger) : CurrentSettings, IDisposable
{
    private readonly List<IDisposable> _subscriptions = [];
    private readonly Lock _reloading = new();

    /// <summary>Reads the options for the first time.</summary>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    public void Start()
    {
        try
        {
            lock (_reloading)
            {
                // Subscribed before the first look: a change in between waits at the lock.
                foreach (IOptionsChangeTokenSource<SparkflyAuthOptions> source in changes)
                {
                    _subscriptions.Add(ChangeToken.OnChange(source.GetChangeToken, () => Reload(() => factory.Create(name))));
                }

                // Unless what configures the options has changed them meanwhile, on this very thread.
                AccountSettings read = AccountSettings.From(monitor.Get(name));
                Take(Current ?? read);
            }
        }
        catch
        {
            // Not under the lock: it waits for a reload that is under way, and that one waits for the lock.
            Dispose();
            throw;
        }
    }

    /// <summary>The options monitor has other options of this name.</summary>
    public void OnChange() => Reload(() => monitor.Get(name));

    public void Dispose() => _subscriptions.ForEach(static s => s.Dispose());

    // Read under the lock, so that of several changes at a time the last one stays.
    private void Reload(Func<SparkflyAuthOptions> read)
    {
        lock (_reloading)
        {
            try
            {
                if (Take(AccountSettings.From(read())))
                {
                    Log.SettingsChanged(logger, name);
                }
            }
            catch (OptionsValidationException exception)
            {
                Log.InvalidReload(logger, name, exception.Message);
            }
            catch (Exception exception)
            {
                // The monitor's own callback throws the same out of Reload(); thrown here too it would be told twice.
                // The binder's message repeats the value that does not fit its setting, which may be a secret in the wrong place.
                Log.InvalidReload(logger, name, $"{exception.GetType().Name}; the exception leaves the reload");
            }
        }
    }
}
