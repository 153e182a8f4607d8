namespace Sparkfly.Auth.Handler.Testing;

/// <summary>What a test has a method and an address answered with.</summary>
internal sealed class FakeAnswer(
    HttpMethod method, string address, Func<FakeSparkflyRequest, CancellationToken, Task<HttpResponseMessage>> answer, int? times)
{
    private const string OneSegment = "*";
    private const string AnySegments = "**";

    private readonly Uri _address = IsAbsolute(address) ? new Uri(address, UriKind.Absolute) : new Uri(address, UriKind.Relative);
    private int? _left = times;

    /// <exception cref="InvalidOperationException">The test's function gave none: a mock that was not told what to return, for one.</exception>
    public async Task<HttpResponseMessage> AnswerAsync(FakeSparkflyRequest request, CancellationToken cancellationToken)
    {
        Task<HttpResponseMessage>? answering = answer(request, cancellationToken);
        return (answering is null ? null : await answering.ConfigureAwait(false)) ??
            throw new InvalidOperationException($"The answer that this test gives {nameof(FakeSparkfly)} for {method} {address} is null.");
    }

    /// <summary>Whether it may be for addresses that nobody had in mind, the token request's among them.</summary>
    public bool HasWildcard { get; } = address.Split('?')[0].Split('/').Any(static s => s is OneSegment or AnySegments);

    /// <param name="requested">The request's method.</param>
    /// <param name="requestUri">Its absolute address.</param>
    /// <param name="baseAddress">The base address that it is under; null where it goes to another host than Sparkfly's.</param>
    public bool Matches(HttpMethod requested, Uri requestUri, Uri? baseAddress)
    {
        // As the client resolves it: relative, from the host's root, or absolute.
        Uri? target = _address.IsAbsoluteUri ? _address : baseAddress is null ? null : new Uri(baseAddress, _address);
        return _left != 0 &&
            target is not null &&
            requested == method &&
            SparkflyHomes.IsSame(target, requestUri, UriComponents.SchemeAndServer) &&
            HasSegments(requestUri.AbsolutePath.Split('/'), target.AbsolutePath.Split('/')) &&
            (target.Query.Length == 0 || target.Query == requestUri.Query);
    }

    /// <summary>Uses it once.</summary>
    public void Take() => _left--;

    private static bool HasSegments(ReadOnlySpan<string> actual, ReadOnlySpan<string> expected)
    {
        if (expected[^1] == AnySegments)
        {
            expected = expected[..^1];
            actual = actual[..Math.Min(actual.Length, expected.Length)];
        }

        if (actual.Length != expected.Length)
        {
            return false;
        }

        for (int i = 0; i < actual.Length; i++)
        {
            if (expected[i] != OneSegment && expected[i] != actual[i])
            {
                return false;
            }
        }

        return true;
    }

    // Not by Uri itself, for which a path from the root is a file's address on some systems.
    private static bool IsAbsolute(string address) =>
        address.StartsWith("https://", StringComparison.OrdinalIgnoreCase) || address.StartsWith("http://", StringComparison.OrdinalIgnoreCase);
}
