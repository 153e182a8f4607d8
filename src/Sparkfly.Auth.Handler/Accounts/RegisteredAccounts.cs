namespace Sparkfly.Auth.Handler;

/// <summary>What was registered of accounts for one service provider. Immutable: further ones may be registered for another provider.</summary>
/// <param name="Names">The names of the accounts that were registered by name.</param>
/// <param name="Shared">Those whose token is shared with a fleet; <see cref="OfSource"/> for all accounts of the source.</param>
/// <param name="HasSource">Whether there are accounts of an <see cref="ISparkflyAccountSource"/>.</param>
internal sealed record RegisteredAccounts(IReadOnlySet<string> Names, IReadOnlySet<string> Shared, bool HasSource)
{
    /// <summary>The name that stands for all accounts of an <see cref="ISparkflyAccountSource"/>.</summary>
    public const string OfSource = "*";
}
