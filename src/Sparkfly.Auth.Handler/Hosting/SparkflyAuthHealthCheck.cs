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
            tokens = (await accounts.GetAsync(account, cancellationToken).ConfigureAwait(false)).Tokens;
            SparkflyToken token = await tokens.GetTokenAsync(cancellationToken).ConfigureAwait(false);
            data["usedUntil"] = token.ExpiresAt;
            return LastFailureOf(tokens, data) is not { } failure
                ? HealthCheckResult.Healthy($"{AccountName.Label(account)} has a token, which is used until {token.ExpiresAt:u}.", data)
                : HealthCheckResult.Degraded(
                    $"{AccountName.Label(account)} has a token, which is used until {token.ExpiresAt:u}, but renewing it fails since {failure.FailingSince:u}: " +
                    $"{failure.Reason.Message} The next token request is made from {failure.RetryAt:u} on.",
                    data: data);
        }
        catch (SparkflyAuthenticationException exception)
        {
            LastFailureOf(tokens, data);
            data["reason"] = exception.Message;
            if (exception.RetryAt is { } retryAt)
            {
                data["nextAttempt"] = retryAt;
            }

            return new HealthCheckResult(context.Registration.FailureStatus, exception.Message, exception, data);
        }
    }

    /// <summary>The last failure, which only our own provider tells.</summary>
    private static Backoff? LastFailureOf(ISparkflyTokenProvider? tokens, Dictionary<string, object> data)
    {
        Backoff? failure = (tokens as SparkflyTokenProvider)?.LastFailure;
        if (failure is not null)
        {
            data["reason"] = failure.Reason.Message;
            data["failingSince"] = failure.FailingSince;
            data["failures"] = failure.Failures;
            data["nextAttempt"] = failure.RetryAt;
        }

        return failure;
    }
}
