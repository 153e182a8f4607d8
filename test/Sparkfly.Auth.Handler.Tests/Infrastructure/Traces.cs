using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What is running and listening while a request is sent: the platform adds trace headers by that.</summary>
public enum Tracing
{
    /// <summary>An activity, as a web framework has one running, and listeners, as OpenTelemetry adds them.</summary>
    ActivityAndListener,

    /// <summary>An activity that nobody listens to.</summary>
    ActivityAlone,

    /// <summary>Listeners to the platform's activities, and no activity of the caller's.</summary>
    ListenerAlone,

    /// <summary>No activity of the caller's, and listeners that want none: the platform adds nothing.</summary>
    NothingWanted,
}

/// <summary>Trace headers, whose ids are random: compared is which messages have them, and which of them share an id.</summary>
internal static partial class Traces
{
    /// <summary>The platform's trace headers.</summary>
    public static readonly string[] Names = ["traceparent", "tracestate", "baggage", "Correlation-Context", "Request-Id"];

    /// <summary>A <c>traceparent</c> that a caller sets itself.</summary>
    public const string Own = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";

    /// <summary>The value with names in the place of its ids; any other value as it is.</summary>
    public static string WithoutIds(string value) => Ids().Replace(value, static m => m.Value == Own[..^2] ? "own-" : "00-trace-span-");

    /// <summary>
    /// The ids by the order in which they come first: <c>t1-s1 t1-s2 none own</c> are two messages of one trace, one without, and one with what the
    /// caller has set.
    /// </summary>
    public static string Shape(IEnumerable<string?> traceParents)
    {
        var traces = new List<string>();
        var spans = new List<string>();
        return string.Join(' ', traceParents.Select(parent => parent switch
        {
            null => "none",
            Own => "own",
            _ => $"t{Number(traces, parent.Split('-')[1])}-s{Number(spans, parent.Split('-')[2])}",
        }));

        static int Number(List<string> known, string id)
        {
            if (!known.Contains(id))
            {
                known.Add(id);
            }

            return known.IndexOf(id) + 1;
        }
    }

    /// <summary>Runs it with what is to be running and listening.</summary>
    public static async Task<T> RunAsync<T>(this Tracing tracing, Func<Task<T>> run)
    {
        using IDisposable? unheard = tracing == Tracing.NothingWanted ? SecretSweep.ListenToNothing() : null;
        using Activity? activity = tracing is Tracing.ActivityAndListener or Tracing.ActivityAlone ? new Activity("caller") : null;
        if (activity is not null)
        {
            activity.ActivityTraceFlags = ActivityTraceFlags.Recorded;
            activity.TraceStateString = tracing == Tracing.ActivityAlone ? SecretSweep.UnlistenedTraceState : null;
            activity.Start();
        }

        return await run();
    }

    [GeneratedRegex("00-[0-9a-f]{32}-[0-9a-f]{16}-")]
    private static partial Regex Ids();
}
