using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>The package's activities. Their names are public. No tag holds a secret.</summary>
internal static class Telemetry
{
    public const string SourceName = "Sparkfly.Auth.Handler";
    public const string OutcomeTag = "outcome";

    private const string TokenRequestName = "sparkfly.auth.token.request";

    private static readonly ActivitySource s_source = new(SourceName);

    /// <summary>
    /// Starts the activity of a token request as a child of the request that caused it, so that the <c>POST</c> joins its trace; also
    /// without a listener to this source. By its context alone: a child of the activity itself would inherit the caller's baggage and send it.
    /// </summary>
    public static Activity? StartTokenRequest(ActivityContext parent)
    {
        if (s_source.StartActivity(TokenRequestName, ActivityKind.Internal, parent) is { } listenedTo)
        {
            return listenedTo;
        }

        return parent == default
            ? null
            : new Activity(TokenRequestName) { TraceStateString = parent.TraceState }
                .SetParentId(parent.TraceId, parent.SpanId, parent.TraceFlags)
                .Start();
    }
}
