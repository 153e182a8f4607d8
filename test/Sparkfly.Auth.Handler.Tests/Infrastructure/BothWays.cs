using System.Collections.Concurrent;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>One scenario, sent both ways.</summary>
internal static class BothWays
{
    /// <summary>
    /// Sends with <see cref="HttpClient.SendAsync(HttpRequestMessage, CancellationToken)"/>, or with
    /// <see cref="HttpClient.Send(HttpRequestMessage, CancellationToken)"/> on a thread of its own, and waits no longer than a test does.
    /// </summary>
    public static Task<HttpResponseMessage> SendAsync(
        this HttpClient client, HttpRequestMessage request, bool isAsync, CancellationToken cancellationToken = default) =>
        (isAsync ? client.SendAsync(request, cancellationToken) : OnThread(() => client.Send(request, cancellationToken)))
            .WaitAsync(TestApp.Patience, CancellationToken.None);

    /// <summary>Runs it on a thread that is nobody else's, so that it may block.</summary>
    public static Task<T> OnThread<T>(Func<T> run) =>
        Task.Factory.StartNew(run, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
}

/// <summary>Notes what passes: each message's body as it is sent, and each answer's stream, to be asked whether it was closed.</summary>
internal sealed class Probe : DelegatingHandler
{
    public ConcurrentQueue<HttpContent?> Bodies { get; } = new();

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Bodies.Enqueue(request.Content);
        return base.SendAsync(request, cancellationToken);
    }

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Bodies.Enqueue(request.Content);
        return base.Send(request, cancellationToken);
    }
}
