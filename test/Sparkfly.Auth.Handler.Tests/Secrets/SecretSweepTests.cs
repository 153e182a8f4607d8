using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.6 is swept for in all that the run logs, throws and traces. That the sweep finds what there is to find.</summary>
public class SecretSweepTests
{
    [Test]
    public void A_secret_in_a_message_a_state_a_scope_or_an_exception_is_found([Values("message", "state", "scope", "exception")] string place)
    {
        string secret = $"secret-{Guid.NewGuid():N}";
        var seen = new List<string>();
        using var provider = new SecretSweep.Provider(seen.Add);
        using ILoggerFactory factory = LoggerFactory.Create(logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(provider));
        ILogger logger = factory.CreateLogger("test");
        using IDisposable? scope = place == "scope" ? logger.BeginScope(new Dictionary<string, object?> { ["key"] = secret }) : null;

        var state = new Dictionary<string, object?> { ["state"] = place == "state" ? secret.ToUpperInvariant() : "" };
        logger.Log(
            LogLevel.Trace, default, state, place == "exception" ? new InvalidOperationException(secret) : null, (_, _) => place == "message" ? $"[{secret}]" : "");

        Assert.That(SecretSweep.Leaks(seen, [secret]), Has.Exactly(1).Items);
        Assert.That(SecretSweep.Leaks(seen, ["something-else"]), Is.Empty);
    }

    [Test]
    public void A_secret_in_a_tag_of_a_metric_is_found([Values("measurement", "instrument", "meter")] string place)
    {
        string secret = $"secret-{Guid.NewGuid():N}";

        // Thread-safe: the meters of the tests beside this one are heard too.
        var seen = new ConcurrentQueue<string>();
        using MeterListener listener = SecretSweep.MetricListener(seen.Enqueue);
        listener.Start();

        using var meter = new Meter("Sparkfly.Auth.Handler", null, TagIf("meter"));
        meter.CreateCounter<long>("test.count", null, null, TagIf("instrument")).Add(1, TagIf("measurement"));
        meter.CreateHistogram<double>("test.duration", null, null, TagIf("instrument")).Record(1, TagIf("measurement"));

        Assert.That(SecretSweep.Leaks(seen, [secret]), Has.Exactly(2).Items);

        KeyValuePair<string, object?>[] TagIf(string here) => place == here ? [new("tag", secret)] : [];
    }
}
