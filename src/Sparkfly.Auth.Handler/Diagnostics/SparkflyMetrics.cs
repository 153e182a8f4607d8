using System.Diagnostics.Metrics;

namespace Sparkfly.Auth.Handler;

/// <summary>The package's metrics. Names and tags are public and stable. No tag holds a secret. Thread-safe.</summary>
/// <remarks>A request with a good token is not measured here; the platform measures it.</remarks>
internal sealed class SparkflyMetrics
{
    public const string MeterName = "Sparkfly.Auth.Handler";
    public const string TokenRequestDuration = "sparkfly.auth.token.request.duration";
    public const string Unauthorized = "sparkfly.auth.unauthorized";

    private readonly Histogram<double> _tokenRequestDuration;
    private readonly Counter<long> _unauthorized;

    /// <param name="factory">The container's, so that the meter ends with the container.</param>
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
            Unauthorized, unit: "{response}", description: "Responses of the API with status 401, by what the handler did about them.");
    }

    /// <summary>One <c>POST</c> has ended.</summary>
    public void TokenRequestEnded(TimeSpan duration, string outcome) =>
        _tokenRequestDuration.Record(duration.TotalSeconds, new KeyValuePair<string, object?>(Telemetry.OutcomeTag, outcome));

    /// <summary>A request is sent again after a 401.</summary>
    public void Replayed() => Count("replayed");

    /// <summary>A request is not sent again after a 401: the caller gets the 401, or the exception that says why there is no new token.</summary>
    public void PassedThrough() => Count("passed_through");

    private void Count(string action) => _unauthorized.Add(1, new KeyValuePair<string, object?>("action", action));
}
