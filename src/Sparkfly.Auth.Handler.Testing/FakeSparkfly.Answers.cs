using System.Net;

namespace Sparkfly.Auth.Handler.Testing;

// What it answers.
public sealed partial class FakeSparkfly
{
    /// <summary>Gets a method that stands for any, in <see cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>.</summary>
    public static HttpMethod AnyMethod { get; } = new("*");

    /// <summary>
    /// Gets or sets the status that requests which no answer fits are answered with, <see cref="HttpStatusCode.NotFound"/> say. Default:
    /// <see langword="null"/>; they fail with an <see cref="InvalidOperationException"/> that names the request and the nearest answers.
    /// </summary>
    public HttpStatusCode? UnansweredStatus
    {
        get => _service.UnansweredStatus;
        set => _service.UnansweredStatus = value;
    }

    /// <summary>Gets the requests that no answer has fitted, in the order in which they came.</summary>
    public IReadOnlyList<FakeSparkflyRequest> Unanswered => _service.Unanswered.Snapshot();

    /// <summary>Gets the answers that were not used, or not to the last of their steps; those that were taken back left out.</summary>
    public IReadOnlyList<FakeSparkflyAnswer> UnusedAnswers => [.. _service.Answers.Snapshot().Where(static a => a.IsUnused)];

    /// <summary>Answers requests with JSON.</summary>
    /// <remarks>
    /// <para>
    /// Of several answers that fit a request the one that was given last holds. A request without a good token is answered with 401 before any
    /// answer is looked for, and one that no answer fits fails: see <see cref="UnansweredStatus"/>. An answer for <c>POST auth</c> stands in for a
    /// token; one that it gives, in the header <c>X-Auth-Token</c>, is as good as the fake's own.
    /// </para>
    /// <para>
    /// An endpoint that refuses every token: <c>sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Unauthorized)</c>.
    /// </para>
    /// </remarks>
    /// <param name="method">The method, or <see cref="AnyMethod"/>.</param>
    /// <param name="address">
    /// The address as the client writes it, in any case: relative to the account's base address (<c>offers</c>), from the root of the host
    /// (<c>/v1.0/offers</c>) or absolute. In its path <c>*</c> stands for any characters of one segment (<c>members/*</c>, <c>items/item-*</c>), and
    /// <c>**</c> for any number of segments; neither stands for the token request. Where it has a query, the request must have the same
    /// parameters, in any order, whose values may have a <c>*</c>; else the query is not looked at.
    /// </param>
    /// <param name="json">The body.</param>
    /// <param name="status">The status.</param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all, or for one where a <c>Then</c> follows.</param>
    /// <returns>The answer: what comes next, on which condition it holds, how often it was used, and a way to take it back.</returns>
    /// <exception cref="ArgumentNullException">An argument other than <paramref name="times"/> is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    /// <exception cref="ArgumentException"><paramref name="address"/> is no address, or a pattern that can fit nothing.</exception>
    public FakeSparkflyAnswer Answer(HttpMethod method, string address, string json, HttpStatusCode status = HttpStatusCode.OK, int? times = null) =>
        Answer(method, address, FakeSparkflyResponse.Json(json, status), times);

    /// <summary>Answers requests with a status and no body.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    public FakeSparkflyAnswer Answer(HttpMethod method, string address, HttpStatusCode status, int? times = null) =>
        Answer(method, address, FakeSparkflyResponse.Status(status), times);

    /// <summary>Answers requests with a response that was made beforehand: JSON from an object, a stream, a delay, a fault.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    /// <param name="method">The method, or <see cref="AnyMethod"/>.</param>
    /// <param name="address">The address as the client writes it.</param>
    /// <param name="response">The response.</param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all, or for one where a <c>Then</c> follows.</param>
    public FakeSparkflyAnswer Answer(HttpMethod method, string address, FakeSparkflyResponse response, int? times = null) =>
        Answer(method, address, FakeSparkflyAnswer.Step(response, times));

    /// <summary>Answers requests with what a function makes of them.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    /// <param name="method">The method, or <see cref="AnyMethod"/>.</param>
    /// <param name="address">The address as the client writes it.</param>
    /// <param name="answer">
    /// Makes the response, a new one for each request; <see langword="null"/> leaves the request to the answer before. What it throws is what the
    /// client's call throws.
    /// </param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all, or for one where a <c>Then</c> follows.</param>
    public FakeSparkflyAnswer Answer(HttpMethod method, string address, Func<FakeSparkflyRequest, HttpResponseMessage?> answer, int? times = null) =>
        Answer(method, address, FakeSparkflyAnswer.Step(answer, times));

    /// <summary>Answers requests with what a function makes of them, in its own time.</summary>
    /// <inheritdoc cref="Answer(HttpMethod, string, string, HttpStatusCode, int?)"/>
    /// <param name="method">The method, or <see cref="AnyMethod"/>.</param>
    /// <param name="address">The address as the client writes it.</param>
    /// <param name="answer">
    /// Makes the response, a new one for each request; its token is cancelled when the client's call is. <see langword="null"/> leaves the request
    /// to the answer before. What it throws is what the client's call throws.
    /// </param>
    /// <param name="times">How many requests are answered so; <see langword="null"/> for all, or for one where a <c>Then</c> follows.</param>
    public FakeSparkflyAnswer Answer(
        HttpMethod method, string address, Func<FakeSparkflyRequest, CancellationToken, Task<HttpResponseMessage?>> answer, int? times = null) =>
        Answer(method, address, FakeSparkflyAnswer.Step(answer, times));

    /// <summary>Fails where an answer, or a step of one, was never used.</summary>
    /// <exception cref="InvalidOperationException">An answer was not used; the message names each of them, and the last requests.</exception>
    public void VerifyAllAnswersUsed()
    {
        IReadOnlyList<FakeSparkflyAnswer> unused = UnusedAnswers;
        if (unused.Count > 0)
        {
            throw new InvalidOperationException(
                $"Answers of this FakeSparkfly were not used:{string.Concat(unused.Select(static a => $"{Environment.NewLine}  {a.DescribeUnused()}"))}" +
                $"{Environment.NewLine}{this}");
        }
    }

    private FakeSparkflyAnswer Answer(HttpMethod method, string address, AnswerStep step)
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(address);
        var answer = new FakeSparkflyAnswer(_service.Answers, method, address, step);
        _service.Answers.Add(answer);
        return answer;
    }
}
