using System.Net;
using System.Text.Json;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>An answer that a test has given to a <see cref="FakeSparkfly"/>: conditions, a sequence, a count of its uses. Thread-safe.</summary>
/// <remarks>
/// Conditions and further steps hold from the call on: add them before the requests come. An answer can be taken back with <see cref="Dispose"/>.
/// </remarks>
/// <example>
/// <code>
/// sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable).Then("""{"offers":[]}""");
/// sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Conflict).WhenJson("""{"email":"jo@example.com"}""", isPartial: true);
/// </code>
/// </example>
public sealed class FakeSparkflyAnswer : IDisposable
{
    private readonly AnswerBook _book;
    private readonly HttpMethod _method;
    private readonly AddressPattern _address;

    // Guarded by the lock.
    private readonly Lock _lock = new();
    private readonly List<AnswerStep> _steps;
    private readonly List<(string Description, Func<FakeSparkflyRequest, bool> Holds)> _conditions = [];

    internal FakeSparkflyAnswer(AnswerBook book, HttpMethod method, string address, AnswerStep first)
    {
        _book = book;
        _method = method;
        _address = AddressPattern.Parse(address);
        _steps = [first];
    }

    /// <summary>Gets how many requests it has answered.</summary>
    public int Uses
    {
        get
        {
            lock (_lock)
            {
                return _steps.Sum(static s => s.Uses);
            }
        }
    }

    internal string Address => _address.ToString();

    internal bool HasWildcard => _address.HasWildcard;

    /// <summary>Whether a step of it was never used.</summary>
    internal bool IsUnused
    {
        get
        {
            lock (_lock)
            {
                return _steps.Exists(static s => s.Uses == 0);
            }
        }
    }

    /// <summary>Answers the next requests with JSON.</summary>
    /// <remarks>
    /// The steps are used in the order in which they are written. One without <c>times</c> answers one request where another step follows, and all
    /// further requests where it is the last.
    /// </remarks>
    /// <param name="json">The body.</param>
    /// <param name="status">The status.</param>
    /// <param name="times">How many requests this step answers; <see langword="null"/> for one where another step follows, else for all.</param>
    /// <returns>This answer.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="json"/> is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="times"/> is less than one.</exception>
    public FakeSparkflyAnswer Then(string json, HttpStatusCode status = HttpStatusCode.OK, int? times = null) =>
        Then(FakeSparkflyResponse.Json(json, status), times);

    /// <summary>Answers the next requests with a status and no body.</summary>
    /// <inheritdoc cref="Then(string, HttpStatusCode, int?)"/>
    public FakeSparkflyAnswer Then(HttpStatusCode status, int? times = null) => Then(FakeSparkflyResponse.Status(status), times);

    /// <summary>Answers the next requests with a response that was made beforehand.</summary>
    /// <inheritdoc cref="Then(string, HttpStatusCode, int?)"/>
    /// <param name="response">The response.</param>
    /// <param name="times">How many requests this step answers.</param>
    /// <exception cref="ArgumentNullException"><paramref name="response"/> is <see langword="null"/>.</exception>
    public FakeSparkflyAnswer Then(FakeSparkflyResponse response, int? times = null) => Then(Step(response, times));

    /// <summary>Answers the next requests with what a function makes of them.</summary>
    /// <inheritdoc cref="Then(string, HttpStatusCode, int?)"/>
    /// <param name="answer">Makes the response, a new one for each request; <see langword="null"/> leaves the request to the answer before.</param>
    /// <param name="times">How many requests this step answers.</param>
    /// <exception cref="ArgumentNullException"><paramref name="answer"/> is <see langword="null"/>.</exception>
    public FakeSparkflyAnswer Then(Func<FakeSparkflyRequest, HttpResponseMessage?> answer, int? times = null) => Then(Step(answer, times));

    /// <summary>Answers the next requests with what a function makes of them, in its own time.</summary>
    /// <inheritdoc cref="Then(Func{FakeSparkflyRequest, HttpResponseMessage}, int?)"/>
    public FakeSparkflyAnswer Then(Func<FakeSparkflyRequest, CancellationToken, Task<HttpResponseMessage?>> answer, int? times = null) =>
        Then(Step(answer, times));

    /// <summary>Answers only requests for which a condition holds; several must all hold. Other requests go to the answers before this one.</summary>
    /// <param name="condition">The condition. What it throws is what the client's call throws.</param>
    /// <returns>This answer.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="condition"/> is <see langword="null"/>.</exception>
    public FakeSparkflyAnswer When(Func<FakeSparkflyRequest, bool> condition)
    {
        ArgumentNullException.ThrowIfNull(condition);
        return When("condition", condition);
    }

    /// <summary>Answers only requests that have a parameter in their query; further ones do not matter.</summary>
    /// <remarks>Give the address without a query: one with a query fits requests that have the very same parameters.</remarks>
    /// <param name="name">The parameter's name, decoded.</param>
    /// <param name="value">Its value, decoded, with <c>*</c> for any characters; <see langword="null"/> for any value.</param>
    /// <returns>This answer.</returns>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public FakeSparkflyAnswer WhenQuery(string name, string? value = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return When($"query {name}", request => request.Query.Has(name, value));
    }

    /// <summary>Answers only requests that have a header.</summary>
    /// <param name="name">The header's name, in any case.</param>
    /// <param name="value">Its value, with <c>*</c> for any characters; <see langword="null"/> for any value.</param>
    /// <returns>This answer.</returns>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public FakeSparkflyAnswer WhenHeader(string name, string? value = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return When($"header {name}", request => request.Headers.TryGetValue(name, out string? actual) &&
            (value is null || Wildcard.Fits(value, actual, StringComparison.Ordinal)));
    }

    /// <summary>Answers only requests whose body is this JSON. White space and the order of an object's members do not matter.</summary>
    /// <param name="json">The JSON.</param>
    /// <param name="isPartial">Whether objects of the body may have further members.</param>
    /// <returns>This answer.</returns>
    /// <exception cref="ArgumentException"><paramref name="json"/> is no JSON.</exception>
    public FakeSparkflyAnswer WhenJson(string json, bool isPartial = false)
    {
        ArgumentNullException.ThrowIfNull(json);
        JsonElement expected;
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            expected = document.RootElement.Clone();
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"This is no JSON: {json}", nameof(json), exception);
        }

        return When("JSON", request => JsonPattern.Fits(expected, request.Body, isPartial));
    }

    /// <summary>Answers only requests that have a field in their form (<c>application/x-www-form-urlencoded</c>); further ones do not matter.</summary>
    /// <param name="name">The field's name, decoded.</param>
    /// <param name="value">Its value, decoded, with <c>*</c> for any characters; <see langword="null"/> for any value.</param>
    /// <returns>This answer.</returns>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public FakeSparkflyAnswer WhenForm(string name, string? value = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return When($"form {name}", request => request.Form.Has(name, value));
    }

    /// <summary>Takes the answer back: the answers before it hold again. Requests that it is answering are answered.</summary>
    public void Dispose() => _book.Remove(this);

    /// <summary>The method, the address and what it answers, for people: <c>GET offers → 503, 200</c>.</summary>
    /// <returns>The text.</returns>
    public override string ToString()
    {
        lock (_lock)
        {
            return $"{(_method == FakeSparkfly.AnyMethod ? "any method" : _method)} {_address}" +
                string.Concat(_conditions.Select(static c => $" [{c.Description}]")) +
                $" → {string.Join(", ", _steps.Select(static s => s.Description))}";
        }
    }

    /// <summary>Itself, and the steps that were never used.</summary>
    internal string DescribeUnused()
    {
        lock (_lock)
        {
            string[] unused = [.. _steps.Where(static s => s.Uses == 0).Select(static s => s.Description)];
            return unused.Length == _steps.Count ? ToString() : $"{this} (unused: {string.Join(", ", unused)})";
        }
    }

    internal static AnswerStep Step(FakeSparkflyResponse response, int? times)
    {
        ArgumentNullException.ThrowIfNull(response);
        return new AnswerStep(response.MakeAsync, response.ToString(), Checked(times));
    }

    internal static AnswerStep Step(Func<FakeSparkflyRequest, HttpResponseMessage?> answer, int? times)
    {
        ArgumentNullException.ThrowIfNull(answer);
        return new AnswerStep((arrival, _) => Task.FromResult(answer(arrival.Request)), "function", Checked(times));
    }

    internal static AnswerStep Step(Func<FakeSparkflyRequest, CancellationToken, Task<HttpResponseMessage?>> answer, int? times)
    {
        ArgumentNullException.ThrowIfNull(answer);
        return new AnswerStep((arrival, cancellationToken) => answer(arrival.Request, cancellationToken), "function", Checked(times));
    }

    internal bool FitsAddress(HttpMethod method, Uri address, Uri? baseAddress) =>
        FitsMethod(method) && _address.FitsPath(address, baseAddress) && _address.FitsQuery(address);

    /// <summary>What keeps it from being for a request, if anything.</summary>
    internal AnswerFit Compare(FakeSparkflyRequest request, Uri? baseAddress)
    {
        if (!_address.FitsPath(request.Address, baseAddress))
        {
            return AnswerFit.Path;
        }

        if (!FitsMethod(request.Method))
        {
            return AnswerFit.Method;
        }

        if (!_address.FitsQuery(request.Address))
        {
            return AnswerFit.Query;
        }

        Func<FakeSparkflyRequest, bool>[] conditions;
        bool isUsedUp;
        lock (_lock)
        {
            conditions = [.. _conditions.Select(static c => c.Holds)];
            isUsedUp = Next_NeedsLock() is null;
        }

        // The test's own code: without the lock.
        return !conditions.All(c => c(request)) ? AnswerFit.Condition : isUsedUp ? AnswerFit.UsedUp : AnswerFit.Fits;
    }

    /// <summary>Uses it once; null where it was used up in the meantime.</summary>
    internal AnswerStep? Take()
    {
        lock (_lock)
        {
            AnswerStep? step = Next_NeedsLock();
            if (step is not null)
            {
                step.Uses++;
            }

            return step;
        }
    }

    /// <summary>A function has left the request to others.</summary>
    internal void GiveBack(AnswerStep step)
    {
        lock (_lock)
        {
            step.Uses--;
        }
    }

    private bool FitsMethod(HttpMethod method) => _method == FakeSparkfly.AnyMethod || _method == method;

    private AnswerStep? Next_NeedsLock() => _steps.Find(s => !s.IsUsedUp(isLast: s == _steps[^1]));

    private FakeSparkflyAnswer Then(AnswerStep step)
    {
        lock (_lock)
        {
            _steps.Add(step);
        }

        return this;
    }

    private FakeSparkflyAnswer When(string description, Func<FakeSparkflyRequest, bool> condition)
    {
        lock (_lock)
        {
            _conditions.Add((description, condition));
        }

        return this;
    }

    private static int? Checked(int? times)
    {
        if (times is { } number)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(number, 1, nameof(times));
        }

        return times;
    }
}
