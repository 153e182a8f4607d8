namespace Sparkfly.Auth.Handler;

/// <summary>What is known of a cached token beside its age.</summary>
internal enum TokenStanding
{
    /// <summary>Nothing speaks against it.</summary>
    Good,

    /// <summary>The API has rejected it, and its replacement is on its way.</summary>
    SetAside,

    /// <summary>The API has rejected it, and replacing it has failed. It may still be good for other endpoints.</summary>
    Doubtful,
}

/// <summary>The token of an account in memory.</summary>
/// <param name="Token">The token.</param>
/// <param name="RefreshJitter">
/// From 0 to 1, drawn at random for each token: where in the first half of the refresh window it is due, so that a fleet does not renew in step.
/// </param>
internal sealed record CachedToken(SparkflyToken Token, double RefreshJitter)
{
    public TokenStanding Standing { get; init; }

    public bool IsUsable(DateTimeOffset now, AccountSettings settings) => now < settings.EndOfUse(Token);

    public bool IsDue(DateTimeOffset now, AccountSettings settings) => now >= settings.DueAt(Token, RefreshJitter);
}
