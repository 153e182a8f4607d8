using System.Net;
using System.Net.Http.Headers;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Stands in for a body that cannot certainly be read again, and keeps what is sent of it, up to a bound, for a second send. The first send
/// is the original's, byte for byte and as it comes; the second is what was kept, or does not happen.
/// </summary>
/// <remarks>
/// <para>
/// A lazy sequence in <c>JsonContent</c> is the trap: it serialises again without complaint, to <c>[]</c>. Only types of the platform's own
/// that are known to give the same bytes again are trusted, and not what derives from them.
/// </para>
/// <para>
/// A <see cref="StreamContent"/>, though it has no stream: over HTTP/2 an answer may come while the body is still being sent, and the platform
/// waits for that body, whose stream is the caller's again when the call returns, only where it is of a type of its own.
/// </para>
/// </remarks>
internal sealed class ReplayableContent : StreamContent
{
    private readonly HttpContent _original;
    private readonly long _longest;

    // Set once, when the whole of it is there: a handler below may have it read twice at one time.
    private volatile MemoryStream? _kept;

    private ReplayableContent(HttpContent original, long longest)
        : base(Stream.Null)
    {
        _original = original;
        _longest = longest;

        // Asked for first: only then is a length that can be computed among the headers.
        _ = original.Headers.ContentLength;
        foreach (KeyValuePair<string, HeaderStringValues> header in original.Headers.NonValidated)
        {
            Headers.TryAddWithoutValidation(header.Key, header.Value);
        }
    }

    /// <summary>The caller's own body.</summary>
    public HttpContent Original => _original;

    /// <summary>Whether the whole body was sent, and kept.</summary>
    public bool IsComplete => _kept is not null;

    /// <summary>Stands in for a body that cannot certainly be read again; null where it is too long to be kept.</summary>
    public static ReplayableContent? Of(HttpContent original, long longest) =>
        longest == 0 || original.Headers.ContentLength > longest ? null : new ReplayableContent(original, longest);

    /// <summary>Whether this body, which was sent, is certain to be the same when it is sent again.</summary>
    public static bool CanBeSentAgain(HttpContent? content) => content is ReplayableContent kept ? kept.IsComplete : CanBeReadAgain(content);

    /// <summary>Whether a body can certainly not be sent again.</summary>
    public static bool IsOneWay(HttpContent? content) => content is StreamContent stream ? !IsSeekable(stream)
        : content is MultipartContent parts && parts.Any(IsOneWay);

    /// <summary>Whether a body is certain to give the same bytes again.</summary>
    public static bool CanBeReadAgain(HttpContent? content)
    {
        if (content is null)
        {
            return true;
        }

        Type type = content.GetType();
        return type == typeof(StringContent) ||
            type == typeof(ByteArrayContent) ||
            type == typeof(FormUrlEncodedContent) ||
            type == typeof(ReadOnlyMemoryContent) ||
            (type == typeof(StreamContent) && IsSeekable(content)) ||
            ((type == typeof(MultipartFormDataContent) || type == typeof(MultipartContent)) && ((MultipartContent)content).All(CanBeReadAgain));
    }

    /// <inheritdoc/>
    protected override bool TryComputeLength(out long length)
    {
        length = _original.Headers.ContentLength ?? 0;
        return _original.Headers.ContentLength is not null;
    }

    /// <inheritdoc/>
    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    /// <inheritdoc/>
    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        if (_kept is { } kept)
        {
            await stream.WriteAsync(Bytes(kept), cancellationToken).ConfigureAwait(false);
            return;
        }

        var copy = new CopyingStream(stream, _longest);
        await _original.CopyToAsync(copy, context, cancellationToken).ConfigureAwait(false);
        _kept ??= copy.Kept;
    }

    /// <inheritdoc/>
    protected override void SerializeToStream(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        if (_kept is { } kept)
        {
            stream.Write(Bytes(kept).Span);
            return;
        }

        var copy = new CopyingStream(stream, _longest);
        _original.CopyTo(copy, context, cancellationToken);
        _kept ??= copy.Kept;
    }

    /// <inheritdoc/>
    protected override async Task<Stream> CreateContentReadStreamAsync()
    {
        var stream = new MemoryStream();
        await CopyToAsync(stream).ConfigureAwait(false);
        stream.Position = 0;
        return stream;
    }

    /// <inheritdoc/>
    protected override Stream CreateContentReadStream(CancellationToken cancellationToken)
    {
        var stream = new MemoryStream();
        CopyTo(stream, null, cancellationToken);
        stream.Position = 0;
        return stream;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _original.Dispose();
        }

        base.Dispose(disposing);
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
            // Somebody has asked for it with ReadAsStreamAsync, and only that can be asked again. The other way round both can.
            return content.ReadAsStreamAsync() is { IsCompletedSuccessfully: true } stream && stream.Result.CanSeek;
        }
    }

    /// <summary>Writes through, and keeps a copy as long as it is not too long.</summary>
    private sealed class CopyingStream(Stream target, long longest) : Stream
    {
        /// <summary>What was written so far; null where it was too long.</summary>
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
            if (Kept is null || Kept.Length + buffer.Length > longest)
            {
                // The memory is given back at once: the body may be long.
                Kept = null;
                return;
            }

            int length = (int)Kept.Length + buffer.Length;
            if (length > Kept.Capacity)
            {
                // As the stream itself grows, but no further than the limit.
                Kept.Capacity = (int)Math.Min(longest, Math.Max(length, 2L * Kept.Capacity));
            }

            Kept.Write(buffer);
        }
    }
}
