using System.Net;
using Microsoft.Extensions.Caching.Memory;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>
/// The handler as it is usually written: the token in an <see cref="IMemoryCache"/>, a semaphore so that one caller asks for it, and on a 401 a
/// new token and a second attempt.
/// </summary>
internal sealed class HandWrittenHandler(HandWrittenTokens tokens) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        await SetTokenAsync(request, cancellationToken).ConfigureAwait(false);
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.Unauthorized)
        {
            response.Dispose();
            tokens.Forget();
            await SetTokenAsync(request, cancellationToken).ConfigureAwait(false);
            response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        }

        return response;
    }

    private async Task SetTokenAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        string token = await tokens.GetAsync(cancellationToken).ConfigureAwait(false);
        request.Headers.Remove("X-Auth-Token");
        request.Headers.Add("X-Auth-Token", token);
    }
}

/// <summary>Where <see cref="HandWrittenHandler"/> has its token from. A singleton, since handlers come and go.</summary>
internal sealed class HandWrittenTokens(IHttpClientFactory clients, IMemoryCache cache) : IDisposable
{
    public const string AuthClient = "hand-written auth";

    private const string CacheKey = "sparkfly token";

    private readonly SemaphoreSlim _asking = new(1, 1);

    public async Task<string> GetAsync(CancellationToken cancellationToken)
    {
        if (cache.TryGetValue(CacheKey, out string? token))
        {
            return token!;
        }

        await _asking.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (cache.TryGetValue(CacheKey, out token))
            {
                return token!;
            }

            token = await AskAsync(cancellationToken).ConfigureAwait(false);
            return cache.Set(CacheKey, token, TimeSpan.FromDays(1) - TimeSpan.FromMinutes(5));
        }
        finally
        {
            _asking.Release();
        }
    }

    public void Forget() => cache.Remove(CacheKey);

    public void Dispose() => _asking.Dispose();

    private async Task<string> AskAsync(CancellationToken cancellationToken)
    {
        using HttpClient client = clients.CreateClient(AuthClient);
        using var request = new HttpRequestMessage(HttpMethod.Post, FakeSparkfly.AuthEndpoint);
        request.Headers.Add("X-Auth-Identity", "identity");
        request.Headers.Add("X-Auth-Key", "key");
        using HttpResponseMessage response = await client.SendAsync(request, cancellationToken).ConfigureAwait(false);
        return response.EnsureSuccessStatusCode().Headers.GetValues("X-Auth-Token").Single();
    }
}
