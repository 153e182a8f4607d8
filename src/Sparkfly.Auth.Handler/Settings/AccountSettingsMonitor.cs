using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace Sparkfly.Auth.Handler;

/// <summary>Follows one account's options, and keeps the last valid ones where a reload brings invalid ones. Thread-safe.</summary>
/// <remarks>
/// <see cref="IOptionsMonitor{TOptions}"/> does not do that: after an invalid reload each <c>Get</c> throws, and <c>OnChange</c> is never called.
/// </remarks>
internal sealed class AccountSettingsMonitor(
    string name,
    IOptionsFactory<SparkflyAuthOptions> factory,
    IEnumerable<IOptionsChangeTokenSource<SparkflyAuthOptions>> changes,
    SettingsReport report) : CurrentSettings, IDisposable
{
    private readonly List<IDisposable> _subscriptions = [];
    private readonly Lock _reloading = new();

    // The last valid options.
    private SparkflyAuthOptions? _options;

    /// <summary>Reads the options for the first time.</summary>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    public void Start()
    {
        try
        {
            lock (_reloading)
            {
                // Subscribed before the first read: a change in between waits at the lock.
                foreach (IOptionsChangeTokenSource<SparkflyAuthOptions> source in changes)
                {
                    _subscriptions.Add(ChangeToken.OnChange(source.GetChangeToken, Reload));
                }

                SparkflyAuthOptions options = factory.Create(name);

                // Code that configures the options may have changed them meanwhile, on this thread.
                if (Current is null)
                {
                    Update(AccountSettings.From(options));
                    _options = options;
                }
            }
        }
        catch
        {
            // Not under the lock: disposing waits for a reload in progress, which waits for the lock.
            Dispose();
            throw;
        }
    }

    /// <summary>Logs what <see cref="Start"/> has read.</summary>
    public void ReportStart()
    {
        lock (_reloading)
        {
            report.Started(_options!, Current!);
        }
    }

    public void Dispose() => _subscriptions.ForEach(static s => s.Dispose());

    // Reads under the lock, so that the last of several changes stays.
    private void Reload()
    {
        lock (_reloading)
        {
            try
            {
                SparkflyAuthOptions options = factory.Create(name);
                if (Update(AccountSettings.From(options)))
                {
                    report.Changed(options, Current!);
                }

                _options = options;
            }
            catch (OptionsValidationException exception)
            {
                report.Rejected(exception.Message);
            }
            catch (Exception exception)
            {
                report.Rejected($"{SettingIn(exception.Message)} cannot be read ({exception.GetType().Name}).");
            }
        }
    }

    // The binder's message repeats the value that does not fit, which may be a secret in the wrong place. The setting's key comes after it.
    private static string SettingIn(string message)
    {
        const string Before = " at '";
        int start = message.LastIndexOf(Before, StringComparison.Ordinal) + Before.Length;
        int end = start < Before.Length ? -1 : message.IndexOf('\'', start);
        return end < 0 ? "A setting" : $"The setting '{message[start..end]}'";
    }
}
