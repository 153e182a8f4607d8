using System.Diagnostics.Metrics;

namespace Sparkfly.Auth.Handler;

/// <summary>What is seen from outside: metrics. Names and tags are public and stable; no tag holds a secret. Thread-safe.</summary>
/// <remarks>Nothing is measured on a request that has a good token: that one is the platform's to measure.</remarks>
internal sealed class SparkflyMetrics
{
    public const string MeterName = "Sparkfly.Auth.Handler";
    public const string TokenRequestDuration = "sparkfly.auth.token.request.duration";
    public const string Unauthorized = "sparkfly.auth.unauthorized";

    private readonly Histogram<double> _tokenRequestDuration;
    private readonly Counter<long> _unauthorized;

    /// <param name="factory">The container's, so that its meters end with it, and a test can tell them from another's.</param>
    public SparkflyMetrics(IMeterFactory factory)
    {
        Meter meter = factory.Create(MeterName);
        _tokenRequestDuration = meter.CreateHistogram(
            TokenRequestDuration,
            unit: "s",
            description: "Duration of token requests (POST /auth).",
            advice: new InstrumentAdvice<double>
            {
                // Those of http.client.request.duration, so that the two can be laid side by side.
                HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
            });
        _unauthorized = meter.CreateCounter<long>(
            Unauthorized, unit: "{response}", description: "Answers of the API with status 401, by what the handler did about them.");
    }

    /// <summary>That one <c>POST</c> has ended.</summary>
    public void TokenRequestEnded(TimeSpan duration, string outcome) =>
        _tokenRequestDuration.Record(duration.TotalSeconds, new KeyValuePair<string, object?>(Telemetry.OutcomeTag, outcome));

    /// <summary>That a request which was answered with 401 is sent again.</summary>
    public void Replayed() => Count("replayed");

    /// <summary>That a request which was answered with 401 is not sent again: the caller gets the 401, or why there is no other token.</summary>
    public void PassedThrough() => Count("passed_through");

    private void Count(string action) => _unauthorized.Add(1, new KeyValuePair<string, object?>("action", action));
}
