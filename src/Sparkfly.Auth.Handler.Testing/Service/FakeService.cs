using System.Globalization;
using System.Net;
using System.Net.Http.Headers;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>What a <see cref="FakeSparkfly"/> does with a request: notes it, looks at its token, finds its answer. Thread-safe.</summary>
/// <param name="ownTime">The fake's own clock; null for that of the application that sends the request.</param>
internal sealed class FakeService(TimeProvider? ownTime)
{
    private long _sequence;
    private HttpMessageInvoker? _otherHosts;

    public SparkflyHomes Homes { get; } = new();

    public IssuedTokens Tokens { get; } = new();

    public TokenRequestTrouble Trouble { get; } = new();

    public AnswerBook Answers { get; } = new();

    public RequestLog Requests { get; } = new();

    public RequestLog TokenRequests { get; } = new();

    public RequestLog Unanswered { get; } = new();

    /// <summary>The status for requests that no answer fits; null for an exception.</summary>
    public HttpStatusCode? UnansweredStatus { get; set; }

    public HttpMessageInvoker? OtherHosts
    {
        get => Volatile.Read(ref _otherHosts);
        set => Volatile.Write(ref _otherHosts, value);
    }

    /// <summary>Where a request goes that no answer can be for; null where the fake is to see it.</summary>
    public HttpMessageInvoker? HandlerElsewhere(HttpRequestMessage message) =>
        OtherHosts is { } otherHosts &&
        !IsTokenRequest(message) &&
        BaseOf(message) is null &&
        !Answers.HasAddress(message.Method, message.RequestUri!, null) ? otherHosts : null;

    /// <summary>Answers a request; null where it is left to <see cref="OtherHosts"/>.</summary>
    public async Task<HttpResponseMessage?> AnswerAsync(
        HttpRequestMessage message, byte[] body, TimeProvider applicationTime, CancellationToken cancellationToken)
    {
        TimeProvider time = ownTime ?? applicationTime;
        bool isTokenRequest = IsTokenRequest(message);
        Uri? baseAddress = BaseOf(message);
        string? token = message.Header(Wire.Token);
        var request = new FakeSparkflyRequest(message, body, baseAddress, message.Header(Wire.Identity) ?? Tokens.IdentityOf(token))
        {
            Sequence = Interlocked.Increment(ref _sequence),
            TokenNumber = Tokens.NumberOf(token),
        };

        // The timestamp first: a test that waits for the request may move the clock at once.
        var arrival = new Arrival(request, time, time.GetTimestamp());
        (isTokenRequest ? TokenRequests : Requests).Add(request);
        try
        {
            HttpResponseMessage? response = isTokenRequest
                ? await AnswerTokenRequestAsync(message, arrival, baseAddress, cancellationToken).ConfigureAwait(false)
                : await AnswerRequestAsync(arrival, baseAddress, cancellationToken).ConfigureAwait(false);
            request.Outcome = response is null ? "elsewhere" : ((int)response.StatusCode).ToString(CultureInfo.InvariantCulture);
            if (baseAddress is not null && response is not null)
            {
                ServiceResponses.AddTraps(response, time);
            }

            return response;
        }
        catch (Exception exception)
        {
            request.Outcome ??= exception.GetType().Name;
            throw;
        }
    }

    private async Task<HttpResponseMessage> AnswerTokenRequestAsync(
        HttpRequestMessage message, Arrival arrival, Uri? baseAddress, CancellationToken cancellationToken)
    {
        if (await Trouble.MeetAsync(cancellationToken).ConfigureAwait(false) is { } failure)
        {
            return failure;
        }

        DateTimeOffset now = arrival.Time.GetUtcNow();
        string? identity = message.Header(Wire.Identity);
        if (await Answers.AnswerAsync(arrival, baseAddress, isTokenRequest: true, cancellationToken).ConfigureAwait(false) is { } response)
        {
            if (response.IsSuccessStatusCode && response.Headers.NonValidated.TryGetValues(Wire.Token, out HeaderStringValues token))
            {
                Tokens.Note(token.ToString(), identity, now);
            }

            return response;
        }

        return message.Method != HttpMethod.Post ? ServiceResponses.Error(HttpStatusCode.MethodNotAllowed, "Method not allowed")
            : Tokens.Issue(identity, message.Header(Wire.Key), now) is { } issued ? ServiceResponses.Token(issued)
            : ServiceResponses.Error(HttpStatusCode.Unauthorized, "Invalid credentials");
    }

    private async Task<HttpResponseMessage?> AnswerRequestAsync(Arrival arrival, Uri? baseAddress, CancellationToken cancellationToken)
    {
        FakeSparkflyRequest request = arrival.Request;
        if (baseAddress is not null && !Tokens.IsGood(request.Token, arrival.Time.GetUtcNow()))
        {
            return ServiceResponses.Error(HttpStatusCode.Unauthorized, "Invalid authentication token");
        }

        if (await Answers.AnswerAsync(arrival, baseAddress, isTokenRequest: false, cancellationToken).ConfigureAwait(false) is { } response)
        {
            return response;
        }

        if (baseAddress is null && OtherHosts is not null)
        {
            return null;
        }

        request.Outcome = "no answer";
        Unanswered.Add(request);
        string nearest = new NearestAnswers(request, baseAddress, Answers.Snapshot()).ToString();
        return baseAddress is null ? throw NotSparkfly(request)
            : UnansweredStatus is { } status ? NoAnswer(status, request)
            : throw NoAnswer(request, nearest);
    }

    /// <summary>A generated client has a method for it too, so it need not come from an account's own client.</summary>
    private bool IsTokenRequest(HttpRequestMessage message) =>
        Homes.IsAuthEndpoint(message.RequestUri!) || (message.Header(Wire.Identity) is not null && message.Header(Wire.Key) is not null);

    /// <summary>The base address that a request is under; null where it goes to another host than Sparkfly's.</summary>
    private Uri? BaseOf(HttpRequestMessage message)
    {
        Uri address = message.RequestUri!;
        if (Homes.BaseOf(address) is { } home)
        {
            return home;
        }

        // An account that is not registered with the fake. The handler sends its secrets nowhere else.
        bool isSparkfly = message.Header(Wire.Key) is not null || Tokens.IsKnown(message.Header(Wire.Token));
        string usual = SparkflyEnvironments.Staging.AbsolutePath;
        return isSparkfly ? new Uri(address, address.AbsolutePath.StartsWith(usual, StringComparison.Ordinal) ? usual : "/") : null;
    }

    private static HttpResponseMessage NoAnswer(HttpStatusCode status, FakeSparkflyRequest request)
    {
        string problem = $"FakeSparkfly has no answer for {request.Method} {request.RelativePath}";
        HttpResponseMessage response = ServiceResponses.Error(status, problem);

        // Which is what EnsureSuccessStatusCode shows.
        response.ReasonPhrase = problem;
        return response;
    }

    private InvalidOperationException NoAnswer(FakeSparkflyRequest request, string nearest) => new(
        $"FakeSparkfly has no answer for {request.Line}: give it one with {nameof(FakeSparkfly.Answer)}, or set " +
        $"{nameof(FakeSparkfly.UnansweredStatus)} to the status for such requests. {nearest}{Environment.NewLine}{Dump()}");

    private InvalidOperationException NotSparkfly(FakeSparkflyRequest request) => new(
        $"{request.Method} {request.RelativePath} is not at Sparkfly, and nothing leaves the test: a FakeSparkfly stands in the place of this client's primary " +
        $"handler. Give it an answer with Answer for this absolute address, or set {nameof(OtherHosts)} to where such requests are to go. If it should " +
        $"have gone to Sparkfly, check the account's {nameof(SparkflyAuthOptions.BaseAddress)} and the client's.{Environment.NewLine}{Dump()}");

    public string Dump() => new RequestDump(Requests.Snapshot(), TokenRequests.Snapshot()).ToString();
}
