using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Makes the handlers of accounts, one for each pipeline.</summary>
internal sealed class SparkflyHandlerFactory(SparkflyAccounts accounts, SparkflyMetrics metrics, ILoggerFactory loggerFactory)
{
    private readonly ILogger _logger = loggerFactory.CreateLogger(Log.Category);

    /// <exception cref="InvalidOperationException">No account of this name is registered.</exception>
    public SparkflyAuthHandler Create(string account) => new(account, accounts, metrics, _logger);
}
