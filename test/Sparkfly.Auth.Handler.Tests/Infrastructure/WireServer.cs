using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A server that keeps the head of each request as its bytes came, and answers with the bytes that it is told: for what Kestrel hides (the
/// spelling of names) or will not send (an answer that is wrong). Reads no bodies.
/// </summary>
internal sealed class WireServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ended = new();
    private readonly ConcurrentQueue<string> _heads = new();
    private readonly Func<string, string> _answer;
    private readonly Task _accepting;

    /// <param name="answer">Makes the answer, status line and all, from the head of a request.</param>
    public WireServer(Func<string, string> answer)
    {
        _answer = answer;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri BaseAddress => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/v1.0/");

    /// <summary>The heads so far, without the empty line at their end.</summary>
    public IReadOnlyCollection<string> Heads => _heads;

    /// <summary>The fields of a head, but for the trace context, which depends on who listens.</summary>
    public static string[] Fields(string head) =>
        [.. head.Split("\r\n").Skip(1).Where(static f => !f.StartsWith("traceparent:", StringComparison.OrdinalIgnoreCase))];

    public static string NoContent(params string[] fields) => $"HTTP/1.1 204 No Content\r\n{string.Concat(fields.Select(static f => $"{f}\r\n"))}\r\n";

    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync();
        _listener.Dispose();
        await _accepting;
        _ended.Dispose();
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_ended.Token)));
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or InvalidOperationException)
        {
            // The listener has ended, here or before it was asked.
        }

        await Task.WhenAll(connections);
    }

    private async Task ServeAsync(TcpClient connection)
    {
        using TcpClient ended = connection;
        NetworkStream stream = connection.GetStream();
        var received = new StringBuilder();
        byte[] buffer = new byte[4096];
        try
        {
            while (await stream.ReadAsync(buffer, _ended.Token) is > 0 and int count)
            {
                received.Append(Encoding.Latin1.GetString(buffer, 0, count));
                for (int end; (end = received.ToString().IndexOf("\r\n\r\n", StringComparison.Ordinal)) >= 0;)
                {
                    string head = received.ToString(0, end);
                    received.Remove(0, end + 4);
                    _heads.Enqueue(head);
                    await stream.WriteAsync(Encoding.Latin1.GetBytes(_answer(head)), _ended.Token);
                }
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
        }
    }
}
