using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Makes the handlers of accounts, one for each pipeline.</summary>
internal sealed class SparkflyHandlerFactory(
    SparkflyAccounts accounts, PrimaryHandlers primaries, SparkflyMetrics metrics, TimeProvider time, ILogger logger)
{
    /// <exception cref="InvalidOperationException">No account of this name is registered.</exception>
    public SparkflyAuthHandler Create(string account) => new(account, accounts, primaries, metrics, time, logger);
}
