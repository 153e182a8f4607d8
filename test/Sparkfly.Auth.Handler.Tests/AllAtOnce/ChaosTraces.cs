using System.Diagnostics;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Listens to the platform's requests, so that each message on a socket has trace headers of its own. The sweep for secrets does not listen: so many
/// activities and exceptions would take long to search.
/// </summary>
internal sealed class ChaosTraces : IDisposable
{
    private readonly IDisposable _unswept = SecretSweep.ListenToNothing();
    private readonly Activity _root = new Activity("chaos") { TraceStateString = SecretSweep.UnlistenedTraceState }.Start();

    private readonly ActivityListener _listener = new()
    {
        ShouldListenTo = static source => source.Name == "System.Net.Http",
        Sample = static (ref _) => ActivitySamplingResult.AllDataAndRecorded,
    };

    private ChaosTraces() => ActivitySource.AddActivityListener(_listener);

    public static ChaosTraces Start() => new();

    public void Dispose()
    {
        _listener.Dispose();
        _root.Dispose();
        _unswept.Dispose();
    }
}
