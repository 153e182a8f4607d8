using System.Net;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>When a primary handler answers.</summary>
public enum Answer
{
    /// <summary>Before <c>SendAsync</c> has returned.</summary>
    Synchronous,

    /// <summary>After it has returned, as the network does.</summary>
    Asynchronous,
}

/// <summary>The primary handler of all pipelines that are timed: answers every request with 200, and costs as little as can be.</summary>
/// <remarks>
/// An asynchronous answer comes when <see cref="Complete"/> is called, and everything that waits for it runs within that call. No thread pool takes
/// part, whose moods would be larger than what is measured. Asynchronous answers are for one request at a time.
/// </remarks>
internal sealed class AnsweringHandler(Answer answer) : HttpMessageHandler
{
    private TaskCompletionSource<HttpResponseMessage>? _pending;
    private HttpResponseMessage? _response;

    /// <summary>Gives the asynchronous answer to the last request; nothing where it has been given.</summary>
    public void Complete() => _pending?.TrySetResult(_response!);

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = new HttpResponseMessage(HttpStatusCode.OK) { RequestMessage = request };
        if (answer == Answer.Synchronous)
        {
            return Task.FromResult(response);
        }

        _response = response;
        _pending = new TaskCompletionSource<HttpResponseMessage>();
        return _pending.Task;
    }
}
