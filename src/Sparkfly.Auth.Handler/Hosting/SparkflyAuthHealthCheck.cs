using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Sparkfly.Auth.Handler;

/// <summary>Whether an account has a token, or can get one. Asks for it as a request does, so it costs no more token requests than one.</summary>
internal sealed class SparkflyAuthHealthCheck(SparkflyAccounts accounts, string account) : IHealthCheck
{
    /// <inheritdoc/>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        ISparkflyTokenProvider? tokens = null;
        var data = new Dictionary<string, object> { ["account"] = account };
        try
        {
            tokens = (accounts.At(account) ?? await accounts.FindAsync(account, cancellationToken).ConfigureAwait(false)).Tokens;
            SparkflyToken token = await tokens.GetTokenAsync(cancellationToken).ConfigureAwait(false);
            data["usedUntil"] = token.ExpiresAt;
            return TroubleOf(tokens, data) is not { } trouble
                ? HealthCheckResult.Healthy($"{SparkflyAccount.Label(account)} has a token, which is used until {token.ExpiresAt:u}.", data)
                : HealthCheckResult.Degraded(
                    $"{SparkflyAccount.Label(account)} has a token, which is used until {token.ExpiresAt:u}, but renewing it fails since {trouble.FailingSince:u}: " +
                    $"{trouble.Reason.Message} The next token request is made from {trouble.RetryAt:u} on.",
                    data: data);
        }
        catch (SparkflyAuthenticationException exception)
        {
            TroubleOf(tokens, data);
            data["reason"] = exception.Message;
            if (exception.RetryAt is { } retryAt)
            {
                data["nextAttempt"] = retryAt;
            }

            return new HealthCheckResult(context.Registration.FailureStatus, exception.Message, exception, data);
        }
    }

    /// <summary>What a provider of the application's own does not tell.</summary>
    private static Backoff? TroubleOf(ISparkflyTokenProvider? tokens, Dictionary<string, object> data)
    {
        Backoff? trouble = (tokens as SparkflyTokenProvider)?.Trouble;
        if (trouble is not null)
        {
            data["reason"] = trouble.Reason.Message;
            data["failingSince"] = trouble.FailingSince;
            data["failures"] = trouble.Failures;
            data["nextAttempt"] = trouble.RetryAt;
        }

        return trouble;
    }
}
