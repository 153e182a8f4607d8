using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Logs what a registered account's settings are, and what is odd about them. No message holds a value but the base address.</summary>
internal sealed class SettingsReport(string account, IEnumerable<AccountSection> sections, bool isProduction, ILogger logger)
{
    private readonly string _shownName = AccountName.Shown(account);
    private Uri? _baseAddress;
    private string[] _unknownKeys = [];

    /// <summary>The first settings.</summary>
    public void Started(SparkflyAuthOptions options, AccountSettings settings)
    {
        ReportUnknownKeys();
        ReportBaseAddress(options, settings);
    }

    /// <summary>Other settings than before.</summary>
    public void Changed(SparkflyAuthOptions options, AccountSettings settings)
    {
        Log.SettingsChanged(logger, _shownName);
        Started(options, settings);
    }

    /// <summary>Settings that are not taken.</summary>
    public void Rejected(string problems) => Log.InvalidReload(logger, _shownName, problems);

    private void ReportUnknownKeys()
    {
        string[] keys = [.. sections.SelectMany(static s => s.UnknownKeys())];
        foreach (string key in keys.Except(_unknownKeys, StringComparer.OrdinalIgnoreCase))
        {
            Log.UnknownKey(logger, _shownName, key);
        }

        _unknownKeys = keys;
    }

    private void ReportBaseAddress(SparkflyAuthOptions options, AccountSettings settings)
    {
        if (settings.BaseAddress == _baseAddress)
        {
            return;
        }

        _baseAddress = settings.BaseAddress;
        Log.BaseAddress(logger, _shownName, _baseAddress);
        if (isProduction && !options.IsBaseAddressSet)
        {
            string key = sections.LastOrDefault()?.KeyOf(nameof(options.BaseAddress)) ?? nameof(options.BaseAddress);
            Log.StagingInProduction(logger, _shownName, key, SparkflyEnvironments.Production);
        }
    }
}
