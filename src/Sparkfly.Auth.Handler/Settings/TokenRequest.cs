namespace Sparkfly.Auth.Handler;

/// <summary>What a token source is asked for.</summary>
/// <param name="settings">The account.</param>
/// <param name="replaced">The token to be replaced; null on a cold start.</param>
internal sealed class TokenRequest(AccountSettings settings, SparkflyToken? replaced)
{
    private volatile bool _isForced;

    public AccountSettings Settings => settings;

    public SparkflyToken? Replaced => replaced;

    /// <summary>
    /// Whether a 401 forces the renewal. A 401 may join a request that runs already; where a fleet's token was looked at before, the fleet's interval
    /// counts from the next request on.
    /// </summary>
    public bool IsForced
    {
        get => _isForced;
        set => _isForced = value;
    }
}
