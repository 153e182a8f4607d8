using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>One account as a handler sees it: its settings, and its token provider.</summary>
/// <param name="name">The name that requests have for it.</param>
/// <param name="settings">Its settings, of which there are some already.</param>
/// <param name="tokens">Gets its token provider, always the same.</param>
internal sealed class SparkflyAccount(string name, CurrentSettings settings, Func<ISparkflyTokenProvider> tokens)
{
    private ISparkflyTokenProvider? _tokens;
    private int _hasWarnedOfSparkflyHost;

    /// <summary>An account whose origin is nowhere.</summary>
    public static SparkflyAccount NewNone()
    {
        var settings = new CurrentSettings();
        settings.Update(AccountSettings.Nowhere);
        return new SparkflyAccount("", settings, static () => throw new UnreachableException());
    }

    public string Name => name;

    /// <summary>The name for messages.</summary>
    public string ShownName { get; } = AccountName.Shown(name);

    /// <summary>Holds the settings.</summary>
    public CurrentSettings Current => settings;

    /// <summary>The last valid settings; a new object only when a value differs.</summary>
    public AccountSettings Settings => settings.Current!;

    /// <summary>Resolved late: ours needs the account, and the application may have registered its own.</summary>
    public ISparkflyTokenProvider Tokens => _tokens ??= tokens();

    /// <summary>True once: a misconfigured base address is worth one warning, not one for each request.</summary>
    public bool TakeWarningOfSparkflyHost() => Interlocked.Exchange(ref _hasWarnedOfSparkflyHost, 1) == 0;
}
