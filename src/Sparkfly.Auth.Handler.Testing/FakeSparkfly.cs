using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>An in-memory Sparkfly, without credentials and without a socket, for the tests of applications that use its API.</summary>
/// <remarks>
/// <para>
/// It gives out tokens (<c>POST /auth</c>), wants them on every other request, and answers those as it is told with
/// <see cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>. Put it under an application with <c>services.AddFakeSparkfly(sparkfly)</c>,
/// or take a client of it alone with <see cref="CreateClient"/>. What came is in <see cref="Requests"/> and <see cref="TokenRequests"/>.
/// </para>
/// <para>
/// A token is good for 24 hours on the clock of the application that asked for it, the <see cref="TimeProvider"/> in its container, or on the
/// fake's own where it was given one. Thread-safe.
/// </para>
/// </remarks>
/// <example>
/// <code>
/// var sparkfly = new FakeSparkfly();
/// sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[{"id":17}]}""");
/// using HttpClient http = sparkfly.CreateClient();
///
/// string json = await http.GetStringAsync("offers");
/// </code>
/// </example>
public sealed class FakeSparkfly
{
    private static readonly TimeSpan s_tokenLifetime = TimeSpan.FromDays(1);

    private readonly TimeProvider? _time;
    private readonly SparkflyHomes _homes = new();
    private readonly RequestLog _requests = new();
    private readonly RequestLog _tokenRequests = new();

    // Guarded by the lock.
    private readonly Lock _lock = new();
    private readonly Dictionary<string, IssuedToken> _tokens = [];
    private readonly Dictionary<string, string> _accepted = [];
    private readonly HashSet<string> _rejected = [];
    private readonly List<FakeAnswer> _answers = [];
    private Trouble? _trouble;
    private TaskCompletionSource _troubleChanged = NewSignal();
    private HttpMessageInvoker? _otherHosts;

    /// <summary>Makes a Sparkfly that accepts all credentials, and has no answer yet but to token requests.</summary>
    /// <param name="timeProvider">
    /// The clock by which tokens expire; <see langword="null"/> for the clock of the application that sends the request: the
    /// <see cref="TimeProvider"/> in its container, the system's where there is none.
    /// </param>
    public FakeSparkfly(TimeProvider? timeProvider = null) => _time = timeProvider;

    /// <summary>
    /// Gets the requests that have come so far, token requests left out, in the order in which they came. A request that was sent again after
    /// a 401 is there twice.
    /// </summary>
    public IReadOnlyList<FakeSparkflyRequest> Requests => _requests.Snapshot();

    /// <summary>Gets the token requests that have come so far, in the order in which they came.</summary>
    public IReadOnlyList<FakeSparkflyRequest> TokenRequests => _tokenRequests.Snapshot();

    /// <summary>
    /// Gets or sets where a Sparkfly client's requests to other hosts go, unless an answer was given for their absolute address. Default:
    /// <see langword="null"/>; they fail with an <see cref="InvalidOperationException"/>, so that nothing leaves the test.
    /// </summary>
    /// <remarks>
    /// For clients that call other services too; a <see cref="SocketsHttpHandler"/> lets them out. It is not disposed of with the fake.
    /// </remarks>
    public HttpMessageHandler? OtherHosts
    {
        get;
        set
        {
            field = value;
            Volatile.Write(ref _otherHosts, value is null ? null : new HttpMessageInvoker(value, disposeHandler: false));
        }
    }

    /// <summary>Makes a client with a default account of its own, whose base address is that of <see cref="SparkflyEnvironments.Staging"/>.</summary>
    /// <remarks>
    /// For the test of a class that wants an <see cref="HttpClient"/>. It has the real <see cref="SparkflyAuthHandler"/>: tokens are asked for,
    /// kept and renewed as in an application.
    /// </remarks>
    /// <returns>The client; with it everything that it needs is disposed of.</returns>
    public HttpClient CreateClient()
    {
        var services = new ServiceCollection();
        services.AddSparkflyAuth(static _ => { });
        services.AddHttpClient("").AddSparkflyAuthHandler();
        services.AddFakeSparkfly(this);
        if (_time is not null)
        {
            services.AddSingleton(_time);
        }

        ServiceProvider provider = services.BuildServiceProvider();
        HttpMessageHandler handler = provider.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("");
        return new HttpClient(new OwningHandler(handler, provider)) { BaseAddress = SparkflyEnvironments.Staging };
    }

    /// <summary>
    /// Makes a primary handler that leads to the fake, for a pipeline that is built by hand, without <see cref="IHttpClientFactory"/>.
    /// </summary>
    /// <remarks>Pipelines of an application's container have one when <c>services.AddFakeSparkfly</c> was called.</remarks>
    /// <param name="baseAddress">The base address of the API; <see langword="null"/> for Sparkfly's own environments.</param>
    /// <returns>The handler, which has nothing to dispose of.</returns>
    public HttpMessageHandler CreateHandler(Uri? baseAddress = null)
    {
        if (baseAddress is not null)
        {
            NoteHome(baseAddress, null);
        }

        return new FakeSparkflyHandler(this, TimeProvider.System);
    }

    /// <summary>Answers requests with JSON.</summary>
    /// <remarks>
    /// <para>
    /// Of several answers that fit a request the one that was given last holds. A request without a good token is answered with 401 before any
    /// answer is looked for, and one that no answer fits with 404. An answer for <c>POST auth</c> stands in for a token; one that it gives, in the
    /// header <c>X-Auth-Token</c>, is as good as the fake's own.
    /// </para>
    /// <para>
    /// An endpoint that refuses every token: <c>sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Unauthorized)</c>.
    /// </para>
    /// </remarks>
    /// <param name="method">The method.</param>
    /// <param name="address">
    /// The address as the client writes it: relative to the account's base address (<c>offers</c>), from the root of the host
    /// (<c>/v1.0/offers</c>) or absolute. <c>*</c> stands for one segment of the path, <c>members/*</c>, and <c>**</c> at its end for any number
    /// of them; neither stands for the token request. Where it has a query, the request must have the same; else the query is not looked at.
    /// </param>
    /// <param name="json">The body.</param>
    /// <param name="status">The status.</param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all.</param>
    /// <exception cref="ArgumentNullException">An argument other than <paramref name="times"/> is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    /// <exception cref="UriFormatException"><paramref name="address"/> is no address.</exception>
    public void Answer(HttpMethod method, string address, string json, HttpStatusCode status = HttpStatusCode.OK, int? times = null)
    {
        ArgumentNullException.ThrowIfNull(json);
        Answer(method, address, _ => new HttpResponseMessage(status) { Content = Json(json) }, times);
    }

    /// <summary>Answers requests with a status and no body.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    public void Answer(HttpMethod method, string address, HttpStatusCode status, int? times = null) =>
        Answer(method, address, _ => new HttpResponseMessage(status), times);

    /// <summary>Answers requests with what a function makes of them.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    /// <param name="method">The method.</param>
    /// <param name="address">The address as the client writes it.</param>
    /// <param name="answer">Makes the answer, a new one for each request. What it throws is what the client's call throws.</param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all.</param>
    public void Answer(HttpMethod method, string address, Func<FakeSparkflyRequest, HttpResponseMessage> answer, int? times = null)
    {
        ArgumentNullException.ThrowIfNull(answer);
        Answer(method, address, (request, _) => Task.FromResult(answer(request)), times);
    }

    /// <summary>Answers requests with what a function makes of them, in its own time.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    /// <param name="method">The method.</param>
    /// <param name="address">The address as the client writes it.</param>
    /// <param name="answer">
    /// Makes the answer, a new one for each request; its token is cancelled when the client's call is. What it throws is what the client's call
    /// throws.
    /// </param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all.</param>
    public void Answer(
        HttpMethod method, string address, Func<FakeSparkflyRequest, CancellationToken, Task<HttpResponseMessage>> answer, int? times = null)
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(answer);
        ThrowIfLessThanOne(times);
        var fakeAnswer = new FakeAnswer(method, address, answer, times);
        lock (_lock)
        {
            _answers.Add(fakeAnswer);
        }
    }

    /// <summary>Makes every token that was given out so far a bad one: the next request with it is answered with 401.</summary>
    public void RevokeTokens() => Revoke(static (_, _) => true);

    /// <summary>Makes every token of one account a bad one.</summary>
    /// <param name="identity">The account's identity.</param>
    /// <exception cref="ArgumentNullException"><paramref name="identity"/> is <see langword="null"/>.</exception>
    public void RevokeTokens(string identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        Revoke((_, issued) => issued.Identity == identity);
    }

    /// <summary>Makes one token a bad one; of a token that was never given out nothing is to be done.</summary>
    /// <param name="token">The token, as <see cref="FakeSparkflyRequest.Token"/> has it.</param>
    /// <exception cref="ArgumentNullException"><paramref name="token"/> is <see langword="null"/>.</exception>
    public void RevokeToken(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        Revoke((value, _) => value == token);
    }

    /// <summary>
    /// Accepts these credentials. From the first call on only credentials that were named in such a call are accepted; a further one for the
    /// same identity replaces its key.
    /// </summary>
    /// <param name="identity">The account's identity.</param>
    /// <param name="key">The account's key.</param>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public void AcceptCredentials(string identity, string key)
    {
        ArgumentNullException.ThrowIfNull(identity);
        ArgumentNullException.ThrowIfNull(key);
        lock (_lock)
        {
            _accepted[identity] = key;
            _rejected.Remove(identity);
        }
    }

    /// <summary>
    /// Rejects this account's token requests, with 401, until <see cref="AcceptCredentials"/> or <see cref="Reset"/>. Tokens that it has stay good.
    /// </summary>
    /// <param name="identity">The account's identity.</param>
    /// <exception cref="ArgumentNullException"><paramref name="identity"/> is <see langword="null"/>.</exception>
    public void RejectCredentials(string identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        lock (_lock)
        {
            _rejected.Add(identity);
        }
    }

    /// <summary>Answers token requests with a failure, until <see cref="RestoreTokenRequests"/>.</summary>
    /// <param name="status">The status: 503 for an outage, 401 for wrong credentials.</param>
    /// <param name="retryAfter">The value of <c>Retry-After</c>, in whole seconds; <see langword="null"/> for none.</param>
    /// <param name="times">How many token requests are answered so; <see langword="null"/> for all.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    public void FailTokenRequests(HttpStatusCode status, TimeSpan? retryAfter = null, int? times = null) => Meet(times, () =>
    {
        HttpResponseMessage response = Error(status, status == HttpStatusCode.Unauthorized ? "Invalid credentials" : status.ToString());
        if (retryAfter is { } delay)
        {
            response.Headers.TryAddWithoutValidation("Retry-After", ((long)delay.TotalSeconds).ToString(CultureInfo.InvariantCulture));
        }

        return response;
    });

    /// <summary>Lets token requests end with an exception, until <see cref="RestoreTokenRequests"/>.</summary>
    /// <param name="exception">
    /// The exception: <c>new HttpRequestException(HttpRequestError.ConnectionError)</c>, say, where the host is not reached.
    /// </param>
    /// <param name="times">How many token requests end so; <see langword="null"/> for all.</param>
    /// <exception cref="ArgumentNullException"><paramref name="exception"/> is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    public void FailTokenRequests(Exception exception, int? times = null)
    {
        ArgumentNullException.ThrowIfNull(exception);
        Meet(times, () => throw exception);
    }

    /// <summary>
    /// Lets token requests wait, until <see cref="RestoreTokenRequests"/> lets them go on, or their sender gives them up
    /// (<see cref="SparkflyAuthOptions.AuthTimeout"/>).
    /// </summary>
    /// <remarks>A later call of this method or of a <c>FailTokenRequests</c> replaces it, also for those that wait already.</remarks>
    /// <param name="times">How many token requests wait; <see langword="null"/> for all.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    public void HoldTokenRequests(int? times = null) => Meet(times, null);

    /// <summary>Answers token requests again, those too that wait.</summary>
    public void RestoreTokenRequests() => Change(null);

    /// <summary>Waits until so many requests have come, token requests left out: for what an application sends in the background.</summary>
    /// <param name="count">How many, from the beginning or the last <see cref="Reset"/>.</param>
    /// <param name="cancellationToken">Ends the wait; there is no other bound on it.</param>
    /// <returns><see cref="Requests"/>, at that moment.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public Task<IReadOnlyList<FakeSparkflyRequest>> WaitForRequestsAsync(int count, CancellationToken cancellationToken = default) =>
        _requests.ReachesAsync(count, cancellationToken);

    /// <summary>Waits until so many token requests have come, be they answered or not.</summary>
    /// <param name="count">How many, from the beginning or the last <see cref="Reset"/>.</param>
    /// <param name="cancellationToken">Ends the wait; there is no other bound on it.</param>
    /// <returns><see cref="TokenRequests"/>, at that moment.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public Task<IReadOnlyList<FakeSparkflyRequest>> WaitForTokenRequestsAsync(int count, CancellationToken cancellationToken = default) =>
        _tokenRequests.ReachesAsync(count, cancellationToken);

    /// <summary>
    /// Forgets requests, answers, failures and credentials, for the next test of an application that several share. Tokens that were given out
    /// stay good, since the application goes on with them.
    /// </summary>
    public void Reset()
    {
        lock (_lock)
        {
            _answers.Clear();
            _accepted.Clear();
            _rejected.Clear();
        }

        OtherHosts = null;
        RestoreTokenRequests();
        _requests.Clear();
        _tokenRequests.Clear();
    }

    /// <summary>Makes known where an account's Sparkfly is.</summary>
    internal void NoteHome(Uri baseAddress, Uri? authEndpoint) => _homes.Add(baseAddress, authEndpoint);

    /// <summary>Where a request goes that is none of the fake's business; null where it is.</summary>
    internal HttpMessageInvoker? HandlerElsewhere(HttpRequestMessage message)
    {
        if (Volatile.Read(ref _otherHosts) is not { } otherHosts || IsTokenRequest(message))
        {
            return null;
        }

        lock (_lock)
        {
            Uri? baseAddress = BaseOf_NeedsLock(message);
            return baseAddress is null && Find_NeedsLock(message, null, isTokenRequest: false) is null ? otherHosts : null;
        }
    }

    internal async Task<HttpResponseMessage> AnswerAsync(
        HttpRequestMessage message, byte[] body, TimeProvider applicationTime, CancellationToken cancellationToken)
    {
        TimeProvider time = _time ?? applicationTime;
        bool isTokenRequest = IsTokenRequest(message);
        Uri? baseAddress;
        string? identity;
        lock (_lock)
        {
            baseAddress = BaseOf_NeedsLock(message);
            identity = message.Header(Wire.Identity) ?? Issued_NeedsLock(message.Header(Wire.Token))?.Identity;
        }

        var request = new FakeSparkflyRequest(message, body, PathOf(message.RequestUri!, baseAddress), identity);
        (isTokenRequest ? _tokenRequests : _requests).Add(request);
        HttpResponseMessage response = isTokenRequest
            ? await AnswerTokenRequestAsync(message, request, baseAddress, time, cancellationToken).ConfigureAwait(false)
            : await AnswerRequestAsync(message, request, baseAddress, time, cancellationToken).ConfigureAwait(false);
        if (baseAddress is not null)
        {
            AddTraps(response, time);
        }

        return response;
    }

    private async Task<HttpResponseMessage> AnswerTokenRequestAsync(
        HttpRequestMessage message, FakeSparkflyRequest request, Uri? baseAddress, TimeProvider time, CancellationToken cancellationToken)
    {
        while (true)
        {
            Trouble? trouble;
            Task changed;
            lock (_lock)
            {
                trouble = TakeTrouble_NeedsLock();
                changed = _troubleChanged.Task;
            }

            if (trouble is null)
            {
                break;
            }

            if (trouble.Answer is { } answer)
            {
                return answer();
            }

            await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        if (TakeAnswer(message, baseAddress, isTokenRequest: true) is { } given)
        {
            HttpResponseMessage response = await given.AnswerAsync(request, cancellationToken).ConfigureAwait(false);
            NoteToken(response, message, time);
            return response;
        }

        return request.Method != HttpMethod.Post ? Error(HttpStatusCode.MethodNotAllowed, "Method not allowed")
            : Issue(message, time) is { } token ? Accepted(token)
            : Error(HttpStatusCode.Unauthorized, "Invalid credentials");
    }

    private async Task<HttpResponseMessage> AnswerRequestAsync(
        HttpRequestMessage message, FakeSparkflyRequest request, Uri? baseAddress, TimeProvider time, CancellationToken cancellationToken)
    {
        if (baseAddress is not null && !IsGood(request.Token, time))
        {
            return Error(HttpStatusCode.Unauthorized, "Invalid authentication token");
        }

        if (TakeAnswer(message, baseAddress, isTokenRequest: false) is { } answer)
        {
            return await answer.AnswerAsync(request, cancellationToken).ConfigureAwait(false);
        }

        return baseAddress is null ? throw NotSparkfly(request) : NoAnswer(request);
    }

    /// <summary>A generated client has a method for it too, so it need not come from an account's own client.</summary>
    private bool IsTokenRequest(HttpRequestMessage message) =>
        _homes.IsAuthEndpoint(message.RequestUri!) || (message.Header(Wire.Identity) is not null && message.Header(Wire.Key) is not null);

    /// <summary>The base address that a request is under; null where it goes to another host than Sparkfly's.</summary>
    private Uri? BaseOf_NeedsLock(HttpRequestMessage message)
    {
        Uri address = message.RequestUri!;
        if (_homes.BaseOf(address) is { } home)
        {
            return home;
        }

        // An account that nobody has told of. Its secrets go nowhere else: the handler sees to that.
        bool isSparkfly = message.Header(Wire.Key) is not null || Issued_NeedsLock(message.Header(Wire.Token)) is not null;
        string usual = SparkflyEnvironments.Staging.AbsolutePath;
        return isSparkfly ? new Uri(address, address.AbsolutePath.StartsWith(usual, StringComparison.Ordinal) ? usual : "/") : null;
    }

    private static string PathOf(Uri address, Uri? baseAddress) =>
        baseAddress is null ? address.GetLeftPart(UriPartial.Path)
        : address.AbsolutePath.StartsWith(baseAddress.AbsolutePath, StringComparison.Ordinal) ? address.AbsolutePath[baseAddress.AbsolutePath.Length..]
        : address.AbsolutePath;

    private string? Issue(HttpRequestMessage message, TimeProvider time)
    {
        string? identity = message.Header(Wire.Identity);
        string? key = message.Header(Wire.Key);
        lock (_lock)
        {
            if (string.IsNullOrEmpty(identity) || string.IsNullOrEmpty(key) || !IsAccepted_NeedsLock(identity, key))
            {
                return null;
            }

            // 64 hex digits, as seen in the wild.
            string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
            _tokens.Add(token, new IssuedToken(identity, time.GetUtcNow()));
            return token;
        }
    }

    /// <summary>A token that the test's own answer gives out is one like any other.</summary>
    private void NoteToken(HttpResponseMessage response, HttpRequestMessage message, TimeProvider time)
    {
        if (response.IsSuccessStatusCode && response.Headers.NonValidated.TryGetValues(Wire.Token, out HeaderStringValues token))
        {
            lock (_lock)
            {
                _tokens[token.ToString()] = new IssuedToken(message.Header(Wire.Identity), time.GetUtcNow());
            }
        }
    }

    private bool IsAccepted_NeedsLock(string identity, string key) =>
        !_rejected.Contains(identity) && (_accepted.Count == 0 || (_accepted.TryGetValue(identity, out string? accepted) && accepted == key));

    internal bool IsGood(string? token, TimeProvider time)
    {
        lock (_lock)
        {
            return Issued_NeedsLock(token) is { IsRevoked: false } issued && time.GetUtcNow() < issued.At + s_tokenLifetime;
        }
    }

    private IssuedToken? Issued_NeedsLock(string? token) => token is null ? null : _tokens.GetValueOrDefault(token);

    private void Revoke(Func<string, IssuedToken, bool> isMeant)
    {
        lock (_lock)
        {
            foreach ((string token, IssuedToken issued) in _tokens)
            {
                issued.IsRevoked |= isMeant(token, issued);
            }
        }
    }

    private FakeAnswer? TakeAnswer(HttpRequestMessage message, Uri? baseAddress, bool isTokenRequest)
    {
        lock (_lock)
        {
            FakeAnswer? answer = Find_NeedsLock(message, baseAddress, isTokenRequest);
            answer?.Take();
            return answer;
        }
    }

    private FakeAnswer? Find_NeedsLock(HttpRequestMessage message, Uri? baseAddress, bool isTokenRequest) =>
        _answers.FindLast(a => !(isTokenRequest && a.HasWildcard) && a.Matches(message.Method, message.RequestUri!, baseAddress));

    private void Meet(int? times, Func<HttpResponseMessage>? answer)
    {
        ThrowIfLessThanOne(times);
        Change(new Trouble(answer) { Left = times });
    }

    private void Change(Trouble? trouble)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            _trouble = trouble;
            (changed, _troubleChanged) = (_troubleChanged, NewSignal());
        }

        // Whoever waits looks again.
        changed.SetResult();
    }

    private Trouble? TakeTrouble_NeedsLock()
    {
        if (_trouble is not { Left: not 0 } trouble)
        {
            return null;
        }

        trouble.Left--;
        return trouble;
    }

    private static HttpResponseMessage Accepted(string token)
    {
        var response = new HttpResponseMessage(HttpStatusCode.NoContent);
        response.Headers.Add(Wire.Token, token);
        return response;
    }

    private static HttpResponseMessage NoAnswer(FakeSparkflyRequest request)
    {
        string problem = $"FakeSparkfly has no answer for {request.Method} {request.Path}: give it one with Answer";
        HttpResponseMessage response = Error(HttpStatusCode.NotFound, problem);

        // Which is what EnsureSuccessStatusCode shows.
        response.ReasonPhrase = problem;
        return response;
    }

    private static InvalidOperationException NotSparkfly(FakeSparkflyRequest request) => new(
        $"{request.Method} {request.Path} is not at Sparkfly, and nothing leaves the test: a FakeSparkfly stands in the place of this client's primary " +
        $"handler. Give it an answer with Answer for this absolute address, or set {nameof(OtherHosts)} to where such requests are to go. If it should " +
        $"have gone to Sparkfly, check the account's {nameof(SparkflyAuthOptions.BaseAddress)} and the client's.");

    private static HttpResponseMessage Error(HttpStatusCode status, string error) =>
        new(status) { Content = Json($$"""{"error": "{{JsonEncodedText.Encode(error)}}"}""") };

    private static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    /// <summary>What misleads at the real one: a date that no HTTP date parser takes, the framework's cache lifetime, a session cookie.</summary>
    private static void AddTraps(HttpResponseMessage response, TimeProvider time)
    {
        Add("Date", time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        Add("Cache-Control", "max-age=0, private, must-revalidate");
        Add("X-Ua-Compatible", "IE=Edge,chrome=1");
        Add("Set-Cookie", $"_session_id={Guid.NewGuid():N}; path=/; HttpOnly");

        void Add(string name, string value)
        {
            // What the test has set stays.
            if (!response.Headers.NonValidated.Contains(name))
            {
                response.Headers.TryAddWithoutValidation(name, value);
            }
        }
    }

    private static void ThrowIfLessThanOne(int? times)
    {
        if (times is { } number)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(number, 1, nameof(times));
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class IssuedToken(string? identity, DateTimeOffset at)
    {
        public string? Identity => identity;

        public DateTimeOffset At => at;

        public bool IsRevoked { get; set; }
    }

    /// <summary>What token requests meet in place of their answer; without an answer of its own they wait.</summary>
    private sealed class Trouble(Func<HttpResponseMessage>? answer)
    {
        public Func<HttpResponseMessage>? Answer => answer;

        /// <summary>How many token requests it is still for; null for all.</summary>
        public int? Left { get; set; }
    }

    /// <summary>The outermost handler of a client that owns its container.</summary>
    private sealed class OwningHandler(HttpMessageHandler inner, ServiceProvider services) : DelegatingHandler(inner)
    {
        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                services.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
