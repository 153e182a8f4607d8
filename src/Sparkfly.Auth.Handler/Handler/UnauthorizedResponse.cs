using System.Net.Http.Headers;
using System.Net.Http.Json;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// A 401 while the request waits for a new token. The unread body holds a connection, which the token request may need if the primary handler limits
/// their number.
/// </summary>
internal static class UnauthorizedResponse
{
    private const int LongestBody = 64 * 1024;
    private static readonly TimeSpan s_longestWait = TimeSpan.FromSeconds(1);

    /// <summary>Reads what arrives of the body in time, which is kept for a caller who gets the 401 after all, and lets the connection go.</summary>
    /// <returns>Whether the whole body is kept.</returns>
    public static async Task<bool> FreeConnectionAsync(HttpResponseMessage response, TimeProvider time, CancellationToken cancellationToken)
    {
        HttpContent content = response.Content;
        var body = new MemoryStream();
        bool isWhole = false;
        try
        {
            // Without a message: the exception is caught below.
            isWhole = await TimeLimit.RunAsync("", bound => ReadAsync(content, body, bound), s_longestWait, time, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // Not by a filter: the caller may cancel at the very moment at which the time is over, and must get no exception about that.
            cancellationToken.ThrowIfCancellationRequested();

            // What has arrived until then is kept.
        }

        lock (body)
        {
            response.Content = new ByteArrayContent(body.ToArray());
        }

        foreach ((string name, HeaderStringValues values) in content.Headers.NonValidated)
        {
            // The length of the whole is not that of a part.
            if (isWhole || !name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase))
            {
                response.Content.Headers.TryAddWithoutValidation(name, values);
            }
        }

        content.Dispose();
        return isWhole;
    }

    /// <summary>
    /// Lets the connection go, and the body with it. The response itself is not disposed of, nor a body in memory: a test's primary handler may answer
    /// every request with one and the same object.
    /// </summary>
    public static void Discard(HttpResponseMessage response)
    {
        if (response.Content is HttpContent content and not (ByteArrayContent or JsonContent))
        {
            response.Content = new ByteArrayContent([]);
            content.Dispose();
        }
    }

    private static async Task<bool> ReadAsync(HttpContent content, MemoryStream body, CancellationToken cancellationToken)
    {
        Stream stream = await content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        byte[] buffer = new byte[4096];
        while (body.Length < LongestBody)
        {
            int read = await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                return true;
            }

            // It may still be read when the wait is over.
            lock (body)
            {
                body.Write(buffer, 0, Math.Min(read, LongestBody - (int)body.Length));
            }
        }

        return false;
    }
}
