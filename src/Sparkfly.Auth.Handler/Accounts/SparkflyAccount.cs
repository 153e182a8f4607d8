namespace Sparkfly.Auth.Handler;

/// <summary>One account as a handler sees it: its settings, and who gives its tokens.</summary>
/// <param name="name">The name that requests have for it.</param>
/// <param name="registration">What it was registered as: its own name, or <see cref="AccountRegistrations.OfSource"/>.</param>
/// <param name="settings">Its settings; there are some already.</param>
/// <param name="tokens">Gives its token provider, always the same.</param>
internal sealed class SparkflyAccount(string name, string registration, CurrentSettings settings, Func<SparkflyAccount, ISparkflyTokenProvider> tokens)
{
    private ISparkflyTokenProvider? _tokens;
    private int _hasWarnedOfSparkflyHost;

    public string Name => name;

    /// <summary>The client that its token requests are made with.</summary>
    public string AuthClientName { get; } = SparkflyAuthClient.ClientName(registration);

    /// <summary>The last good settings; another object only when a value differs.</summary>
    public AccountSettings Settings => settings.Current!;

    /// <summary>The application may have put its own provider in place; asked for late, since ours asks for the account.</summary>
    public ISparkflyTokenProvider Tokens => _tokens ??= tokens(this);

    /// <summary>What messages call an account.</summary>
    public static string Label(string name) => name.Length == 0 ? "Sparkfly" : $"Sparkfly account '{name}'";

    /// <summary>True once: a misconfigured base address is worth one warning, not one a request.</summary>
    public bool TakeWarningOfSparkflyHost() => Interlocked.Exchange(ref _hasWarnedOfSparkflyHost, 1) == 0;
}
