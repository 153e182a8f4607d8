namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The last requests, a line for each, without secrets.</summary>
internal sealed class RequestDump(IReadOnlyList<FakeSparkflyRequest> requests, IReadOnlyList<FakeSparkflyRequest> tokenRequests)
{
    private const int Most = 20;

    public override string ToString()
    {
        FakeSparkflyRequest[] last = [.. requests.Concat(tokenRequests).OrderBy(static r => r.Sequence).TakeLast(Most)];
        string lines = string.Concat(last.Select(static r =>
            $"{Environment.NewLine}  {r.Line}{(r.TokenNumber is { } number ? $" (token {number})" : "")} → {r.Outcome ?? "…"}"));
        return $"FakeSparkfly: requests {requests.Count}, token requests {tokenRequests.Count}{(last.Length < Most ? "" : $", the last {last.Length}")}{lines}";
    }
}
