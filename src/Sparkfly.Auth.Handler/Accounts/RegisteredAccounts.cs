namespace Sparkfly.Auth.Handler;

/// <summary>The accounts of one service provider that were registered by name. Immutable: further ones may be registered for another provider.</summary>
/// <param name="Names">Their names.</param>
/// <param name="Shared">Those whose token is shared with a fleet; <see cref="OfSource"/> for all accounts of the source.</param>
internal sealed record RegisteredAccounts(IReadOnlySet<string> Names, IReadOnlySet<string> Shared)
{
    /// <summary>The name that stands for all accounts of an <see cref="ISparkflyAccountSource"/>.</summary>
    public const string OfSource = "*";
}
