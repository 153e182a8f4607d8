namespace Sparkfly.Auth.Handler;

/// <summary>A token in use, and the two questions that it answers: may it be used, should it be renewed.</summary>
/// <param name="Token">The token.</param>
/// <param name="Draw">
/// From 0 to 1, drawn for each token: where in the first half of the refresh window its renewal is due, so that a fleet does not renew in step.
/// </param>
internal sealed record HeldToken(SparkflyToken Token, double Draw)
{
    /// <summary>
    /// Whether a renewal that a 401 forced has failed. The token may still be good for other endpoints than the one that rejected it, so it
    /// stays in use, and callers no longer wait for further attempts to replace it.
    /// </summary>
    public bool OutlivedRenewal { get; init; }

    public bool MayBeUsed(DateTimeOffset now, AccountSettings settings) => now < End(settings);

    public bool ShouldBeRenewed(DateTimeOffset now, AccountSettings settings) =>
        now >= End(settings) - (settings.RefreshWindow * (1 - (Draw / 2)));

    // From ObtainedAt too, since a shorter lifetime that is configured later holds for a token obtained before.
    private DateTimeOffset End(AccountSettings settings)
    {
        DateTimeOffset end = Token.ObtainedAt + settings.UsableLife;
        return end < Token.ExpiresAt ? end : Token.ExpiresAt;
    }
}
