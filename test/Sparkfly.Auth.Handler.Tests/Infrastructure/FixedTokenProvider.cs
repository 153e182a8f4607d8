namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A token provider of the application's own: always the same token.</summary>
internal sealed class FixedTokenProvider(string token) : ISparkflyTokenProvider
{
    private readonly SparkflyToken _token = new(token, DateTimeOffset.UnixEpoch, DateTimeOffset.MaxValue);

    public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) => new(_token);

    public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default) => new(rejected);
}
