using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A server that keeps each request as its bytes came, and answers with the bytes that it is told: for what Kestrel hides (the spelling of names,
/// chunks) or will not send (an answer that is wrong).
/// </summary>
internal sealed class WireServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ended = new();
    private readonly ConcurrentQueue<string> _heads = new();
    private readonly ConcurrentQueue<string> _bodies = new();
    private readonly Func<string, string?> _answer;
    private readonly Task _accepting;

    /// <param name="answer">Makes the answer, status line and all, from the head of a request; null closes the connection.</param>
    public WireServer(Func<string, string?> answer)
    {
        _answer = answer;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri BaseAddress => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/v1.0/");

    /// <summary>The heads so far, without the empty line at their end.</summary>
    public IReadOnlyCollection<string> Heads => _heads;

    /// <summary>The bodies so far, with their framing.</summary>
    public IReadOnlyCollection<string> Bodies => _bodies;

    /// <summary>Closes a connection when it has answered, without a word.</summary>
    public bool ClosesIdleConnections { get; init; }

    /// <summary>The fields of a head, in their order. The ids of a trace are random, so only their shape is in it.</summary>
    public static string[] Fields(string head) => [.. head.Split("\r\n").Skip(1).Select(Traces.WithoutIds)];

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
                while (TakeRequest(received) is { } head)
                {
                    if (_answer(head) is not { } answer)
                    {
                        return;
                    }

                    await stream.WriteAsync(Encoding.Latin1.GetBytes(answer), _ended.Token);
                    if (ClosesIdleConnections)
                    {
                        return;
                    }
                }
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
        }
    }

    /// <summary>Takes a request that has arrived whole; its head, or null.</summary>
    private string? TakeRequest(StringBuilder received)
    {
        string text = received.ToString();
        int end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
        if (end < 4)
        {
            return null;
        }

        string head = text[..(end - 4)];
        string? length = Fields(head).FirstOrDefault(static f => f.StartsWith("Content-Length: ", StringComparison.Ordinal))?[16..];
        int ended = length is not null ? end + int.Parse(length, CultureInfo.InvariantCulture)
            : !head.Contains("Transfer-Encoding: chunked", StringComparison.Ordinal) ? end
            : text.IndexOf("\r\n0\r\n\r\n", end - 2, StringComparison.Ordinal) is >= 0 and int last ? last + 7
            : int.MaxValue;
        if (ended > text.Length)
        {
            return null;
        }

        received.Remove(0, ended);
        _heads.Enqueue(head);
        _bodies.Enqueue(text[end..ended]);
        return head;
    }
}
