using System.Net;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>A Sparkfly without sockets, in the place of the primary handlers: gives tokens out, checks them, and counts. Thread-safe.</summary>
internal sealed class FakeSparkfly
{
    private int _generation;
    private int _issued;
    private int _tokenRequests;
    private int _apiRequests;

    public FakeSparkfly()
    {
        Auth = new Handler(AnswerTokenRequestAsync);
        Api = new Handler(AnswerApiRequestAsync);
    }

    public static Uri BaseAddress { get; } = new("https://sparkfly.test/v1.0/");

    public static Uri AuthEndpoint { get; } = new(BaseAddress, "auth");

    /// <summary>Gets an address of the API; parsed already, so that no measurement includes the parsing.</summary>
    public static Uri Offers { get; } = Parsed(new Uri(BaseAddress, "offers"));

    public HttpMessageHandler Auth { get; }

    public HttpMessageHandler Api { get; }

    public int TokenRequests => Volatile.Read(ref _tokenRequests);

    public int ApiRequests => Volatile.Read(ref _apiRequests);

    /// <summary>Gets or sets what is waited for before a token request is answered; it may give an answer other than the regular one.</summary>
    public Func<Task<HttpStatusCode?>>? OnTokenRequest { get; set; }

    /// <summary>Gets or sets what is waited for before the how manieth API request is answered; it may give an answer other than the regular one.</summary>
    public Func<int, Task<HttpStatusCode?>>? OnApiRequest { get; set; }

    /// <summary>Makes every token given out so far a bad one.</summary>
    public void Revoke() => Interlocked.Increment(ref _generation);

    // Uri parses late, and keeps what it has computed.
    private static Uri Parsed(Uri uri) => uri.PathAndQuery.Length + uri.IdnHost.Length > 0 ? uri : throw new InvalidOperationException();

    private async Task<HttpResponseMessage> AnswerTokenRequestAsync(HttpRequestMessage request)
    {
        Interlocked.Increment(ref _tokenRequests);
        if (OnTokenRequest is { } hook && await hook().ConfigureAwait(false) is { } status)
        {
            return new HttpResponseMessage(status) { RequestMessage = request };
        }

        // 64 digits, as seen in the wild; the first eight are what is checked.
        string token = $"{Volatile.Read(ref _generation):x8}{Interlocked.Increment(ref _issued):x56}";
        var response = new HttpResponseMessage(HttpStatusCode.NoContent) { RequestMessage = request };
        response.Headers.TryAddWithoutValidation("X-Auth-Token", token);
        return response;
    }

    private async Task<HttpResponseMessage> AnswerApiRequestAsync(HttpRequestMessage request)
    {
        int number = Interlocked.Increment(ref _apiRequests);
        HttpStatusCode? status = OnApiRequest is { } hook ? await hook(number).ConfigureAwait(false) : null;
        return new HttpResponseMessage(status ?? (IsGood(request) ? HttpStatusCode.OK : HttpStatusCode.Unauthorized)) { RequestMessage = request };
    }

    private bool IsGood(HttpRequestMessage request) =>
        request.Headers.NonValidated.TryGetValues("X-Auth-Token", out var values) &&
        values.ToString().StartsWith($"{Volatile.Read(ref _generation):x8}", StringComparison.Ordinal);

    private sealed class Handler(Func<HttpRequestMessage, Task<HttpResponseMessage>> answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => answer(request);
    }
}
