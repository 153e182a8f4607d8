using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>An in-memory Sparkfly, without credentials and without a socket, for the tests of applications that use its API.</summary>
/// <remarks>
/// <para>
/// It gives out tokens (<c>POST /auth</c>), wants them on every other request, and answers those as it is told with
/// <see cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>. Put it under an application with <c>services.AddFakeSparkfly(sparkfly)</c>,
/// or take a client of it alone with <see cref="CreateClient(Action{SparkflyAuthOptions}, TimeProvider)"/>. What came is in <see cref="Requests"/> and <see cref="TokenRequests"/>.
/// </para>
/// <para>
/// A token is good for 24 hours on the clock of the application that asked for it, the <see cref="TimeProvider"/> in its container, or on the
/// fake's own where it was given one. A request that no answer fits fails the call with an exception that names the nearest answers.
/// Thread-safe.
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
[DebuggerDisplay("{ToString(),nq}")]
public sealed partial class FakeSparkfly
{
    private readonly TimeProvider? _time;
    private readonly FakeService _service;

    /// <summary>Makes a Sparkfly that accepts all credentials, and has no answer yet but to token requests.</summary>
    /// <param name="timeProvider">
    /// The clock by which tokens expire; <see langword="null"/> for the clock of the application that sends the request: the
    /// <see cref="TimeProvider"/> in its container, the system's where there is none.
    /// </param>
    public FakeSparkfly(TimeProvider? timeProvider = null) => (_time, _service) = (timeProvider, new FakeService(timeProvider));

    /// <summary>
    /// Gets the requests that have come so far, token requests left out, in the order in which they came. A request that was sent again after
    /// a 401 is there twice.
    /// </summary>
    public IReadOnlyList<FakeSparkflyRequest> Requests => _service.Requests.Snapshot();

    /// <summary>Gets the token requests that have come so far, in the order in which they came.</summary>
    public IReadOnlyList<FakeSparkflyRequest> TokenRequests => _service.TokenRequests.Snapshot();

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
            _service.OtherHosts = value is null ? null : new HttpMessageInvoker(value, disposeHandler: false);
        }
    }

    internal SparkflyHomes Homes => _service.Homes;

    /// <summary>Makes a client with a default account of its own, whose base address is that of <see cref="SparkflyEnvironments.Staging"/>.</summary>
    /// <remarks>
    /// For the test of a class that wants an <see cref="HttpClient"/>. It has the real <see cref="SparkflyAuthHandler"/>: tokens are asked for,
    /// kept and renewed as in an application.
    /// </remarks>
    /// <example>
    /// <code>
    /// using HttpClient http = sparkfly.CreateClient(options => options.RetryOnUnauthorized = false, time);
    /// </code>
    /// </example>
    /// <param name="configure">Sets the account's options; it gets an identity and a key where it is given none.</param>
    /// <param name="timeProvider">The client's clock; <see langword="null"/> for the fake's own, else the system's.</param>
    /// <returns>The client; with it everything that it needs is disposed of.</returns>
    public HttpClient CreateClient(Action<SparkflyAuthOptions>? configure = null, TimeProvider? timeProvider = null) =>
        FakeSparkflyClient.Create(this, "", configure, timeProvider ?? _time);

    /// <summary>Makes a client with a named account of its own, whose identity is <c>fake-identity-tacos</c> where it is named "tacos".</summary>
    /// <inheritdoc cref="CreateClient(Action{SparkflyAuthOptions}, TimeProvider)"/>
    /// <param name="account">The account's name.</param>
    /// <param name="configure">Sets the account's options; it gets an identity and a key where it is given none.</param>
    /// <param name="timeProvider">The client's clock; <see langword="null"/> for the fake's own, else the system's.</param>
    /// <exception cref="ArgumentNullException"><paramref name="account"/> is <see langword="null"/>.</exception>
    public HttpClient CreateClient(string account, Action<SparkflyAuthOptions>? configure = null, TimeProvider? timeProvider = null)
    {
        ArgumentNullException.ThrowIfNull(account);
        return FakeSparkflyClient.Create(this, account, configure, timeProvider ?? _time);
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
            Homes.Add(baseAddress, null);
        }

        return new FakeSparkflyHandler(_service, TimeProvider.System);
    }

    /// <summary>Makes every token that was given out so far a bad one: the next request with it is answered with 401.</summary>
    public void RevokeTokens() => _service.Tokens.Revoke(static (_, _) => true);

    /// <summary>Makes every token of one account a bad one.</summary>
    /// <param name="identity">The account's identity.</param>
    /// <exception cref="ArgumentNullException"><paramref name="identity"/> is <see langword="null"/>.</exception>
    public void RevokeTokens(string identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        _service.Tokens.Revoke((_, issuedFor) => issuedFor == identity);
    }

    /// <summary>Makes one token a bad one; of a token that was never given out nothing is to be done.</summary>
    /// <param name="token">The token, as <see cref="FakeSparkflyRequest.Token"/> has it.</param>
    /// <exception cref="ArgumentNullException"><paramref name="token"/> is <see langword="null"/>.</exception>
    public void RevokeToken(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        _service.Tokens.Revoke((value, _) => value == token);
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
        _service.Tokens.Accept(identity, key);
    }

    /// <summary>
    /// Rejects this account's token requests, with 401, until <see cref="AcceptCredentials"/> or <see cref="Reset"/>. Tokens that it has stay good.
    /// </summary>
    /// <param name="identity">The account's identity.</param>
    /// <exception cref="ArgumentNullException"><paramref name="identity"/> is <see langword="null"/>.</exception>
    public void RejectCredentials(string identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        _service.Tokens.Reject(identity);
    }

    /// <summary>Answers token requests with a failure, until <see cref="RestoreTokenRequests"/>.</summary>
    /// <param name="status">The status: 503 for an outage, 401 for wrong credentials.</param>
    /// <param name="retryAfter">The value of <c>Retry-After</c>, in whole seconds; <see langword="null"/> for none.</param>
    /// <param name="times">How many token requests are answered so; <see langword="null"/> for all.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    public void FailTokenRequests(HttpStatusCode status, TimeSpan? retryAfter = null, int? times = null) => _service.Trouble.Set(times, () =>
    {
        HttpResponseMessage response = ServiceResponses.Error(status, status == HttpStatusCode.Unauthorized ? "Invalid credentials" : status.ToString());
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
        _service.Trouble.Set(times, () => throw exception);
    }

    /// <summary>
    /// Lets token requests wait, until <see cref="RestoreTokenRequests"/> lets them go on, or their sender gives them up
    /// (<see cref="SparkflyAuthOptions.AuthTimeout"/>).
    /// </summary>
    /// <remarks>A later call of this method or of a <c>FailTokenRequests</c> replaces it, also for those that wait already.</remarks>
    /// <param name="times">How many token requests wait; <see langword="null"/> for all.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    public void HoldTokenRequests(int? times = null) => _service.Trouble.Set(times, null);

    /// <summary>Answers token requests again, those too that wait.</summary>
    public void RestoreTokenRequests() => _service.Trouble.End();

    /// <summary>Waits until so many requests have come, token requests left out: for what an application sends in the background.</summary>
    /// <param name="count">How many, from the beginning or the last <see cref="Reset"/>.</param>
    /// <param name="cancellationToken">Ends the wait; there is no other bound on it.</param>
    /// <returns><see cref="Requests"/>, at that moment.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public Task<IReadOnlyList<FakeSparkflyRequest>> WaitForRequestsAsync(int count, CancellationToken cancellationToken = default) =>
        _service.Requests.ReachesAsync(count, cancellationToken);

    /// <summary>Waits until so many token requests have come, be they answered or not.</summary>
    /// <param name="count">How many, from the beginning or the last <see cref="Reset"/>.</param>
    /// <param name="cancellationToken">Ends the wait; there is no other bound on it.</param>
    /// <returns><see cref="TokenRequests"/>, at that moment.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public Task<IReadOnlyList<FakeSparkflyRequest>> WaitForTokenRequestsAsync(int count, CancellationToken cancellationToken = default) =>
        _service.TokenRequests.ReachesAsync(count, cancellationToken);

    /// <summary>
    /// Forgets requests, answers, failures, credentials, <see cref="OtherHosts"/> and <see cref="UnansweredStatus"/>, for the next test of an
    /// application that several share. Tokens that were given out stay good, since the application goes on with them.
    /// </summary>
    public void Reset()
    {
        _service.Answers.Clear();
        _service.Tokens.ForgetCredentials();
        OtherHosts = null;
        UnansweredStatus = null;
        RestoreTokenRequests();
        _service.Requests.Clear();
        _service.TokenRequests.Clear();
        _service.Unanswered.Clear();
    }

    /// <summary>The last requests and token requests, a line for each, without tokens and credentials: what a failed test is to show.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => _service.Dump();

    internal FakeSparkflyHandler HandlerFor(TimeProvider applicationTime) => new(_service, applicationTime);

    internal bool IsGood(string? token, TimeProvider time) => _service.Tokens.IsGood(token, time.GetUtcNow());
}
