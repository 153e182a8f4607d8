namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The answers that a test has given; of those that fit, the last one holds. Thread-safe.</summary>
internal sealed class AnswerBook
{
    private readonly Lock _lock = new();
    private readonly List<FakeSparkflyAnswer> _answers = [];

    /// <summary>In the order in which they were given.</summary>
    public FakeSparkflyAnswer[] Snapshot()
    {
        lock (_lock)
        {
            return [.. _answers];
        }
    }

    public void Add(FakeSparkflyAnswer answer)
    {
        lock (_lock)
        {
            _answers.Add(answer);
        }
    }

    public void Remove(FakeSparkflyAnswer answer)
    {
        lock (_lock)
        {
            _answers.Remove(answer);
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            _answers.Clear();
        }
    }

    /// <summary>Whether an answer may be for a request, by its method and address alone.</summary>
    public bool HasAddress(HttpMethod method, Uri address, Uri? baseAddress) => Snapshot().Any(a => a.FitsAddress(method, address, baseAddress));

    /// <summary>The response of the last answer that fits; null where none does.</summary>
    public async Task<HttpResponseMessage?> AnswerAsync(Arrival arrival, Uri? baseAddress, bool isTokenRequest, CancellationToken cancellationToken)
    {
        // Without the lock: conditions and functions are the test's own code, and may call the fake.
        foreach (FakeSparkflyAnswer answer in Enumerable.Reverse(Snapshot()))
        {
            // An answer for any address is none for the token request.
            if ((isTokenRequest && answer.HasWildcard) || answer.Compare(arrival.Request, baseAddress) != AnswerFit.Fits || answer.Take() is not { } step)
            {
                continue;
            }

            Task<HttpResponseMessage?>? making = step.Make(arrival, cancellationToken);
            if (making is not null && await making.ConfigureAwait(false) is { } response)
            {
                return response;
            }

            answer.GiveBack(step);
        }

        return null;
    }
}
