using System.Collections;
using System.Net.Http.Json;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Every kind of body that the platform has, and some of an application's own. Each makes a new one of the same bytes.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Make">Makes it.</param>
internal sealed record Body(string Name, Func<HttpContent> Make)
{
    /// <summary>Whether it is certain to give the same bytes again, so that nothing need be kept of it.</summary>
    public bool IsReadAgain { get; init; }

    /// <summary>Whether <c>HttpClient.Send</c> can send it.</summary>
    public bool CanBeSentSynchronously { get; init; } = true;

    public override string ToString() => Name;
}

internal static class Bodies
{
    private const string Boundary = "a-boundary";

    private static readonly byte[] s_bytes = Bytes(70_001);

    public static Body[] All =>
    [
        ReadAgain("text", () => new StringContent("Äpfel und Birnen", System.Text.Encoding.UTF8, "text/plain")),
        ReadAgain("bytes", () => new ByteArrayContent(s_bytes)),
        ReadAgain("a part of an array", () => new ByteArrayContent(s_bytes, 100, 5000)),
        ReadAgain("memory", () => new ReadOnlyMemoryContent(s_bytes.AsMemory(7, 40_000))),
        ReadAgain("form", () => new FormUrlEncodedContent([new("name", "Free coffee & bagel"), new("name", "Ä")])),
        ReadAgain("empty", () => new ByteArrayContent([])),
        ReadAgain("multipart", () => new MultipartContent("mixed", Boundary) { new StringContent("one"), new ByteArrayContent(s_bytes) }),
        ReadAgain("multipart form", () => new MultipartFormDataContent(Boundary)
        {
            { new StringContent("17"), "id" },
            { new ByteArrayContent(s_bytes), "picture", "bagel.png" },
        }),
        ReadAgain("nested multipart", () => new MultipartContent("mixed", Boundary)
        {
            new StringContent("outer"),
            new MultipartContent("related", "inner") { new StringContent("inner"), new StreamContent(new MemoryStream(s_bytes)) },
        }),
        ReadAgain("empty multipart", () => new MultipartContent("mixed", Boundary)),
        ReadAgain("multipart form with a seekable stream", () => new MultipartFormDataContent(Boundary)
        {
            { new StreamContent(new MemoryStream(s_bytes)), "picture", "bagel.png" },
        }),
        ReadAgain("multipart with a seekable stream that shows its length", () => new MultipartContent("mixed", Boundary)
        {
            With(new StreamContent(new MemoryStream(s_bytes)), c => c.Headers.ContentLength = s_bytes.Length),
        }),
        ReadAgain("seekable stream", () => new StreamContent(new MemoryStream(s_bytes))),
        ReadAgain("seekable stream, not from its start", () => new StreamContent(new MemoryStream(s_bytes) { Position = 333 })),
        ReadAgain("seekable stream with a length that the caller set", () =>
            With(new StreamContent(new MemoryStream(s_bytes)), c => c.Headers.ContentLength = s_bytes.Length)),
        ReadAgain("file", () => new StreamContent(TemporaryFile())),

        Kept("one-way stream", () => new StreamContent(new OneWayStream(s_bytes))),
        Kept("one-way stream with a length that the caller set", () =>
            With(new StreamContent(new OneWayStream(s_bytes)), c => c.Headers.ContentLength = s_bytes.Length)),
        Kept("multipart with a one-way stream", () => new MultipartContent("mixed", Boundary)
        {
            new StringContent("before"),
            new StreamContent(new OneWayStream(s_bytes)),
            With(new StreamContent(new MemoryStream(s_bytes)), c => c.Headers.ContentType = new("image/png")),
        }),
        Kept("nested multipart form with a one-way stream", () => new MultipartFormDataContent(Boundary)
        {
            { new StringContent("17"), "id" },
            { new MultipartContent("mixed", "inner") { new StreamContent(new OneWayStream(s_bytes)) }, "pictures" },
        }),
        Kept("multipart with a lazy sequence", () => new MultipartContent("mixed", Boundary) { JsonContent.Create(new Once<int>([1, 2, 3])) }),
        Kept("JSON of an object", () => JsonContent.Create(new { Id = 17, Name = "Free coffee with any bagel" })),
        Kept("JSON of a lazy sequence", () => JsonContent.Create(new Once<int>([.. Enumerable.Range(0, 5000)]))),
        Kept("JSON of an asynchronous sequence", () => JsonContent.Create(OnceAsync())) with { CanBeSentSynchronously = false },
        Kept("own content that can be read again", () => new OwnContent(static (_, stream) => stream.Write(s_bytes), s_bytes.Length)),
        Kept("own content that can be read once", () => new OwnContent(static (time, stream) => stream.Write(time == 1 ? s_bytes : []))),
        Kept("own content that writes byte by byte", () => new OwnContent(static (time, stream) =>
        {
            for (int i = 0; time == 1 && i < 3000; i++)
            {
                stream.WriteByte((byte)i);
            }
        })),
        Kept("own content that writes the old asynchronous way", () => new OwnContent(static (time, stream) =>
            stream.EndWrite(stream.BeginWrite(s_bytes, 5, time == 1 ? 4000 : 0, null, null)))),
        Kept("own content that writes asynchronously", () => new OwnAsyncContent(static async (time, stream) =>
        {
            await Task.Yield();
            await stream.WriteAsync(time == 1 ? s_bytes : default);
            await stream.FlushAsync();
#pragma warning disable CA1835 // The older of the two is what is tried here.
            await stream.WriteAsync(s_bytes, 0, time == 1 ? 10 : 0);
#pragma warning restore CA1835
        })) with
        { CanBeSentSynchronously = false },
        Kept("own content that writes nothing", () => new OwnContent(static (_, _) => { })),
        Kept("buffered JSON of a lazy sequence", () => Buffered(JsonContent.Create(new Once<int>([1, 2, 3])))),

        // The stream itself can be read once; what was buffered of it can be read again.
        ReadAgain("buffered one-way stream", () => Buffered(new StreamContent(new OneWayStream(s_bytes)))),
        ReadAgain("buffered seekable stream", () => Buffered(new StreamContent(new MemoryStream(s_bytes)))),
        ReadAgain("buffered text", () => Buffered(new StringContent("text"))),
    ];

    public static byte[] Bytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(17).NextBytes(bytes);
        return bytes;
    }

    private static Body ReadAgain(string name, Func<HttpContent> make) => new(name, make) { IsReadAgain = true };

    private static Body Kept(string name, Func<HttpContent> make) => new(name, make);

    private static HttpContent With(HttpContent content, Action<HttpContent> change)
    {
        change(content);
        return content;
    }

    private static HttpContent Buffered(HttpContent content)
    {
        content.LoadIntoBufferAsync().GetAwaiter().GetResult();
        return content;
    }

    private static FileStream TemporaryFile()
    {
        var file = new FileStream(
            Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 4096, FileOptions.DeleteOnClose);
        file.Write(s_bytes);
        file.Position = 0;
        return file;
    }

    private static async IAsyncEnumerable<int> OnceAsync()
    {
        for (int i = 0; i < 2000; i++)
        {
            await Task.Yield();
            yield return i;
        }
    }
}

/// <summary>A sequence that is empty the second time, without complaint: what a query over something consumed looks like.</summary>
internal sealed class Once<T>(T[] items) : IEnumerable<T>
{
    private int _times;

    public IEnumerator<T> GetEnumerator() => (Interlocked.Increment(ref _times) == 1 ? items : []).AsEnumerable().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>A stream that is read once, from beginning to end, in pieces of odd sizes.</summary>
internal sealed class OneWayStream(byte[] bytes, long? length = null) : ReadOnlyStream
{
    private readonly long _length = length ?? bytes.Length;
    private long _position;

    /// <summary>What the stream's end waits for.</summary>
    public Task MayEnd { get; init; } = Task.CompletedTask;

    public override int Read(byte[] buffer, int offset, int count)
    {
        int start = bytes.Length == 0 ? 0 : (int)(_position % bytes.Length);
        int read = (int)Math.Min(Math.Min(count, 9973), Math.Min(bytes.Length - start, _length - _position));
        bytes.AsSpan(start, read).CopyTo(buffer.AsSpan(offset));
        _position += read;
        return read;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        byte[] bytes = new byte[buffer.Length];
        int read = Read(bytes, 0, bytes.Length);
        bytes.AsMemory(0, read).CopyTo(buffer);
        await (read == 0 ? MayEnd : Task.CompletedTask);
        return read;
    }
}

/// <summary>A content class of an application's own, which writes synchronously; it is told the how manieth time it is.</summary>
internal sealed class OwnContent(Action<int, Stream> write, long? knownLength = null) : HttpContent
{
    private int _times;

    protected override Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context)
    {
        write(++_times, stream);
        return Task.CompletedTask;
    }

    protected override void SerializeToStream(Stream stream, System.Net.TransportContext? context, CancellationToken cancellationToken) =>
        write(++_times, stream);

    protected override bool TryComputeLength(out long length)
    {
        length = knownLength ?? 0;
        return knownLength is not null;
    }
}

/// <summary>A content class of an application's own, which writes asynchronously.</summary>
internal sealed class OwnAsyncContent(Func<int, Stream, Task> write) : HttpContent
{
    private int _times;

    protected override Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context) => write(++_times, stream);

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
