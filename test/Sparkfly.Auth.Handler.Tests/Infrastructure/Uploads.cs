using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A body as the server received it, whole.</summary>
/// <param name="Sha256">The digest of its bytes.</param>
/// <param name="Length">How many they were.</param>
/// <param name="Headers">Every header of the request but the token; of the trace parent its shape, since its ids differ between any two.</param>
internal sealed record Upload(string Sha256, long Length, string Headers)
{
    /// <summary>What a bare client would have sent of these bytes, for comparison with a digest alone.</summary>
    public static string Digest(ReadOnlySpan<byte> bytes) => Convert.ToHexString(SHA256.HashData(bytes));
}

/// <summary>Every body that a server received to its end, before it answered.</summary>
internal sealed class Uploads
{
    private readonly ConcurrentQueue<(string Path, Upload Upload)> _received = new();

    /// <summary>Reads and notes every body, then lets the server answer as it does: 401 to a token that is not good.</summary>
    public static Uploads At(StandInServer server)
    {
        var uploads = new Uploads();
        server.OnApiRequest = async context =>
        {
            await uploads.ReceiveAsync(context);
            return false;
        };
        return uploads;
    }

    public Upload[] All => [.. _received.Select(static r => r.Upload)];

    public Upload[] Of(string path) => [.. _received.Where(r => r.Path == path).Select(static r => r.Upload)];

    public void Forget() => _received.Clear();

    /// <summary>Reads the body to its end, and notes it; a body that breaks off is not noted.</summary>
    public async Task ReceiveAsync(HttpContext context)
    {
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[16 * 1024];
        long length = 0;
        for (int read; (read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0; length += read)
        {
            digest.AppendData(buffer, 0, read);
        }

        string headers = string.Join('\n', context.Request.Headers
            .Where(static h => !h.Key.Equals("X-Auth-Token", StringComparison.OrdinalIgnoreCase))
            .Select(static h => $"{h.Key}: {Traces.WithoutIds(h.Value!)}")
            .Order());
        _received.Enqueue((context.Request.Path, new Upload(Convert.ToHexString(digest.GetHashAndReset()), length, headers)));
    }
}
