using System.Net;
using System.Net.Http.Headers;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Stands in for a body that cannot certainly be read again, and keeps what is sent of it, up to a bound, for a second send. The first send
/// is the original's, byte for byte and as it comes; the second is what was kept, or does not happen.
/// </summary>
/// <remarks>
/// A lazy sequence in <c>JsonContent</c> is the trap: it serialises again without complaint, to <c>[]</c>. Only types of the platform's own
/// that are known to give the same bytes again are trusted, and not what derives from them.
/// </remarks>
internal sealed class ReplayableContent : HttpContent
{
    private readonly HttpContent _original;
    private readonly long _longest;
    private MemoryStream? _kept;
    private bool _isComplete;

    private ReplayableContent(HttpContent original, long longest)
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

    /// <summary>Whether the whole body was sent, and kept.</summary>
    public bool IsComplete => _isComplete;

    /// <summary>Stands in for a body that cannot certainly be read again; null where it is too long to be kept.</summary>
    public static ReplayableContent? Of(HttpContent original, long longest) =>
        longest == 0 || original.Headers.ContentLength > longest ? null : new ReplayableContent(original, longest);

    /// <summary>Whether a body is certain to give the same bytes again. To be asked before it is first sent.</summary>
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
        if (_isComplete)
        {
            await stream.WriteAsync(Kept(), cancellationToken).ConfigureAwait(false);
            return;
        }

        var copy = new CopyingStream(stream, _kept = new MemoryStream(), _longest);
        await _original.CopyToAsync(copy, context, cancellationToken).ConfigureAwait(false);
        _isComplete = copy.IsComplete;
    }

    /// <inheritdoc/>
    protected override void SerializeToStream(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        if (_isComplete)
        {
            stream.Write(Kept().Span);
            return;
        }

        var copy = new CopyingStream(stream, _kept = new MemoryStream(), _longest);
        _original.CopyTo(copy, context, cancellationToken);
        _isComplete = copy.IsComplete;
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

    private ReadOnlyMemory<byte> Kept() => _kept!.GetBuffer().AsMemory(0, (int)_kept.Length);

    // StreamContent does not show its stream, but it knows its length only where the stream can seek. A length that the caller has set hides
    // that. What is asked for is put among the headers, and taken off again: a part's headers are bytes of a multipart body.
    private static bool IsSeekable(HttpContent content)
    {
        if (content.Headers.NonValidated.Contains("Content-Length"))
        {
            return false;
        }

        bool isSeekable = content.Headers.ContentLength is not null;
        content.Headers.Remove("Content-Length");
        return isSeekable;
    }

    /// <summary>Writes through, and keeps a copy as long as it is not too long.</summary>
    private sealed class CopyingStream(Stream target, MemoryStream kept, long longest) : Stream
    {
        private bool _isTooLong;

        public bool IsComplete => !_isTooLong;

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

        public override void Flush() => target.Flush();

        public override Task FlushAsync(CancellationToken cancellationToken) => target.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private void Keep(ReadOnlySpan<byte> buffer)
        {
            if (_isTooLong || kept.Length + buffer.Length > longest)
            {
                // The memory is given back at once: the body may be long.
                _isTooLong = true;
                kept.SetLength(0);
                kept.Capacity = 0;
                return;
            }

            kept.Write(buffer);
        }
    }
}
