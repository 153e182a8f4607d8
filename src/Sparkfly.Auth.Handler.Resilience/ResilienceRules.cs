using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Resilience;

/// <summary>Excludes authentication failures from retries, hedging and circuit breakers. The configured predicates decide on everything else.</summary>
internal sealed class ResilienceRules(IServiceProvider provider)
    : IPostConfigureOptions<HttpStandardResilienceOptions>, IPostConfigureOptions<HttpStandardHedgingResilienceOptions>
{
    private readonly TimeProvider _time = provider.GetService<TimeProvider>() ?? TimeProvider.System;

    public void PostConfigure(string? name, HttpStandardResilienceOptions options)
    {
        options.Retry.ShouldHandle = Except(
            options.Retry.ShouldHandle, static a => a.Outcome.Exception, failure => !failure.IsTransient || IsTooLate(failure, options.TotalRequestTimeout));
        ExceptFromFailures(options.CircuitBreaker);
    }

    public void PostConfigure(string? name, HttpStandardHedgingResilienceOptions options)
    {
        options.Hedging.ShouldHandle = Except(
            options.Hedging.ShouldHandle, static a => a.Outcome.Exception, static failure => !failure.IsTransient);
        ExceptFromFailures(options.Endpoint.CircuitBreaker);
    }

    /// <summary>The handler has its own backoff, and its exception has the reason; an open circuit would hide the reason.</summary>
    private static void ExceptFromFailures(HttpCircuitBreakerStrategyOptions options) =>
        options.ShouldHandle = Except(options.ShouldHandle, static a => a.Outcome.Exception, static _ => true);

    private static Func<TArguments, ValueTask<bool>> Except<TArguments>(
        Func<TArguments, ValueTask<bool>> configured, Func<TArguments, Exception?> exception, Func<SparkflyAuthenticationException, bool> isExcluded) =>
        configured is null
            ? null! // The options' own validation reports it.
            : arguments => exception(arguments) is SparkflyAuthenticationException failure && isExcluded(failure)
                ? ValueTask.FromResult(false)
                : configured(arguments);

    /// <summary>Calls fail with the same exception until <c>RetryAt</c>, so no retry can succeed if the total timeout ends first.</summary>
    private bool IsTooLate(SparkflyAuthenticationException failure, HttpTimeoutStrategyOptions total) =>
        total.TimeoutGenerator is null && failure.RetryAt - _time.GetUtcNow() > total.Timeout;
}
