using System.Net;
using System.Net.Http.Headers;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Stands in for a body that may not give the same bytes twice, while it is with the primary handler. Keeps what is sent, up to a limit, for a second
/// send, and knows whether anything was read at all.
/// </summary>
/// <remarks>
/// A lazy sequence in <c>JsonContent</c> is the trap: it serialises again without complaint, to <c>[]</c>. Only types of the platform's own
/// that are known to give the same bytes again are trusted, and not what derives from them.
/// </remarks>
internal sealed class ReplayableBody
{
    // What _reading says.
    private const int NotBegun = 0;
    private const int Begun = 1;
    private const int Barred = 2;

    private readonly HttpContent _original;
    private readonly long _limit;

    // Set once, when the whole body was sent: the platform may read it twice at one time.
    private volatile MemoryStream? _kept;
    private int _reading;
    private volatile bool _isFinal;

    private ReplayableBody(HttpContent original, long limit)
    {
        _original = original;
        _limit = original.Headers.ContentLength > limit ? 0 : limit;
    }

    /// <summary>Gets the content to send in place of one that may not give the same bytes twice.</summary>
    /// <param name="original">The caller's content.</param>
    /// <param name="limit">How many bytes are kept; zero keeps nothing.</param>
    public static HttpContent Of(HttpContent original, long limit)
    {
        var body = new ReplayableBody(original, limit);

        // Over HTTP/2 a response may come while the body is still being sent. The platform then waits for the end of a body of these types, and of no
        // other, so that a caller gets its stream back unused, and a gRPC call streams both ways.
        return original is StreamContent or MultipartContent or ByteArrayContent or ReadOnlyMemoryContent ? new OneWayContent(body) : new DuplexContent(body);
    }

    /// <summary>Whether a content, which may have been sent, can be sent again.</summary>
    public static bool CanBeSentAgain(HttpContent? content) =>
        In(content) is { } body ? body._kept is not null || Volatile.Read(ref body._reading) == NotBegun : !IsOneWay(content);

    /// <summary>
    /// Makes a message's content ready to be sent again. A send that has ended, and has not begun to read the content, can begin no more: the timer of
    /// <c>Expect: 100-continue</c> may run out in the moment in which the response comes.
    /// </summary>
    /// <returns>Whether the content, which may have been sent, can be sent again.</returns>
    public static bool TryReset(HttpRequestMessage request)
    {
        if (In(request.Content) is not { } body || Interlocked.CompareExchange(ref body._reading, Barred, NotBegun) != NotBegun)
        {
            return CanBeSentAgain(request.Content);
        }

        request.Content = Of(body._original, body._limit);
        return true;
    }

    /// <summary>Gives the message the caller's content back.</summary>
    public static void Restore(HttpRequestMessage request)
    {
        if (In(request.Content) is { } body)
        {
            request.Content = body._original;

            // It may still be being sent, for as long as a duplex call lasts.
            body._isFinal = true;
        }
    }

    /// <summary>Whether a body can certainly not be read again.</summary>
    public static bool IsOneWay(HttpContent? content) => content is StreamContent stream ? !IsSeekable(stream)
        : content is MultipartContent parts && parts.Any(IsOneWay);

    /// <summary>Whether a body is certain to give the same bytes again.</summary>
    public static bool CanBeReadAgain(HttpContent content)
    {
        Type type = content.GetType();
        return type == typeof(StringContent) ||
            type == typeof(ByteArrayContent) ||
            type == typeof(FormUrlEncodedContent) ||
            type == typeof(ReadOnlyMemoryContent) ||
            (type == typeof(StreamContent) && IsSeekable(content)) ||
            ((type == typeof(MultipartFormDataContent) || type == typeof(MultipartContent)) && ((MultipartContent)content).All(CanBeReadAgain));
    }

    /// <summary>Whether this content stands in for another already.</summary>
    public static bool IsIn(HttpContent? content) => In(content) is not null;

    private static ReplayableBody? In(HttpContent? content) => content switch
    {
        DuplexContent duplex => duplex.Body,
        OneWayContent oneWay => oneWay.Body,
        _ => null,
    };

    private void Begin()
    {
        if (Interlocked.CompareExchange(ref _reading, Begun, NotBegun) == Barred)
        {
            throw new InvalidOperationException("The send that this body was for has ended, and the message is being sent again.");
        }
    }

    private void CopyHeadersTo(HttpContentHeaders headers)
    {
        // Asked for first: only then is a length that can be computed among the headers.
        _ = _original.Headers.ContentLength;
        foreach (KeyValuePair<string, HeaderStringValues> header in _original.Headers.NonValidated)
        {
            headers.TryAddWithoutValidation(header.Key, header.Value);
        }
    }

    private async Task WriteAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        Begin();
        if (_kept is { } kept)
        {
            await stream.WriteAsync(Bytes(kept), cancellationToken).ConfigureAwait(false);
            return;
        }

        if (_limit == 0)
        {
            await _original.CopyToAsync(stream, context, cancellationToken).ConfigureAwait(false);
            return;
        }

        var copy = new CopyingStream(stream, this);
        await _original.CopyToAsync(copy, context, cancellationToken).ConfigureAwait(false);
        _kept ??= copy.Kept;
    }

    private void Write(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        Begin();
        if (_kept is { } kept)
        {
            stream.Write(Bytes(kept).Span);
            return;
        }

        if (_limit == 0)
        {
            _original.CopyTo(stream, context, cancellationToken);
            return;
        }

        var copy = new CopyingStream(stream, this);
        _original.CopyTo(copy, context, cancellationToken);
        _kept ??= copy.Kept;
    }

    private static ReadOnlyMemory<byte> Bytes(MemoryStream kept) => kept.GetBuffer().AsMemory(0, (int)kept.Length);

    // StreamContent gives its own stream, or what was buffered of it, and reads nothing. To ask for its length instead would not do: that is
    // put among the headers, which are bytes of a multipart body, and one that the caller has set says nothing of the stream.
    private static bool IsSeekable(HttpContent content)
    {
        try
        {
            return content.ReadAsStream().CanSeek;
        }
        catch (HttpRequestException)
        {
            // After ReadAsStreamAsync only that works again. After ReadAsStream both do.
            return content.ReadAsStreamAsync() is { IsCompletedSuccessfully: true } stream && stream.Result.CanSeek;
        }
    }

    /// <summary>For a body whose end the platform waits for.</summary>
    private sealed class OneWayContent : StreamContent
    {
        public OneWayContent(ReplayableBody body)
            : base(Stream.Null)
        {
            Body = body;
            body.CopyHeadersTo(Headers);
        }

        public ReplayableBody Body { get; }

        protected override bool TryComputeLength(out long length)
        {
            // One that is known is among the headers.
            length = 0;
            return false;
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            Body.WriteAsync(stream, context, CancellationToken.None);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            Body.WriteAsync(stream, context, cancellationToken);

        protected override void SerializeToStream(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            Body.Write(stream, context, cancellationToken);

        // The base class would give its own stream, which is empty.
        protected override async Task<Stream> CreateContentReadStreamAsync()
        {
            var stream = new MemoryStream();
            await Body.WriteAsync(stream, null, CancellationToken.None).ConfigureAwait(false);
            stream.Position = 0;
            return stream;
        }

        protected override Stream CreateContentReadStream(CancellationToken cancellationToken)
        {
            var stream = new MemoryStream();
            Body.Write(stream, null, cancellationToken);
            stream.Position = 0;
            return stream;
        }
    }

    /// <summary>For a body that may still be being written while the response is read.</summary>
    private sealed class DuplexContent : HttpContent
    {
        public DuplexContent(ReplayableBody body)
        {
            Body = body;
            body.CopyHeadersTo(Headers);
        }

        public ReplayableBody Body { get; }

        protected override bool TryComputeLength(out long length)
        {
            // One that is known is among the headers.
            length = 0;
            return false;
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            Body.WriteAsync(stream, context, CancellationToken.None);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            Body.WriteAsync(stream, context, cancellationToken);

        protected override void SerializeToStream(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            Body.Write(stream, context, cancellationToken);
    }

    /// <summary>Writes through, and keeps a copy while it is within the limit.</summary>
    private sealed class CopyingStream(Stream target, ReplayableBody body) : Stream
    {
        /// <summary>What was written so far; null where that is more than the limit.</summary>
        public MemoryStream? Kept { get; private set; } = new();

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Keep(buffer);
            target.Write(buffer);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Keep(buffer.Span);
            return target.WriteAsync(buffer, cancellationToken);
        }

        // The base class would write synchronously, which not every connection allows.
        public override IAsyncResult BeginWrite(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
            TaskToAsyncResult.Begin(WriteAsync(buffer, offset, count, CancellationToken.None), callback, state);

        public override void EndWrite(IAsyncResult asyncResult) => TaskToAsyncResult.End(asyncResult);

        public override void Flush() => target.Flush();

        public override Task FlushAsync(CancellationToken cancellationToken) => target.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private void Keep(ReadOnlySpan<byte> buffer)
        {
            if (Kept is null || body._isFinal || Kept.Length + buffer.Length > body._limit)
            {
                // The memory is given back at once: the body may be long.
                Kept = null;
                return;
            }

            int length = (int)Kept.Length + buffer.Length;
            if (length > Kept.Capacity)
            {
                // As the stream itself grows, but no further than the limit.
                Kept.Capacity = (int)Math.Min(body._limit, Math.Max(length, 2L * Kept.Capacity));
            }

            Kept.Write(buffer);
        }
    }
}
