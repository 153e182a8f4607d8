namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The address that an answer is for: relative to a base address, from the root of a host, or absolute. Immutable.</summary>
internal sealed class AddressPattern
{
    private readonly string _text;
    private readonly Uri _address;
    private readonly NameValues? _query;

    private AddressPattern(string text, Uri address, string path, string? query)
    {
        _text = text;
        _address = address;
        _query = query is null ? null : NameValues.Parse(query);
        HasWildcard = PathPattern.HasWildcard(path);
    }

    /// <summary>Whether its path may match unintended addresses, such as that of the token request.</summary>
    public bool HasWildcard { get; }

    /// <exception cref="ArgumentException">The text is not an address that a request can have.</exception>
    public static AddressPattern Parse(string address)
    {
        string[] parts = address.Split('?', 2);
        string path = parts[0];
        bool isAbsolute = path.StartsWith("https://", StringComparison.OrdinalIgnoreCase) || path.StartsWith("http://", StringComparison.OrdinalIgnoreCase);

        // Not by Uri itself whether it is absolute: a path from the root is a file's address on some systems.
        Uri? uri = null;
        string? problem =
            address.AsSpan().IndexOfAny("#\\") >= 0 || address.Any(char.IsControl) || address.Trim() != address
                ? "it has a fragment, a backslash, or white space at an end"
            : !isAbsolute && (path.StartsWith("//", StringComparison.Ordinal) || path.Contains("://", StringComparison.Ordinal))
                ? "an absolute one begins with https:// or http://"
            : PathPattern.IsBad(path)
                ? "** stands for whole segments, as in members/**; within a segment, write one *"
            : !Uri.TryCreate(path, isAbsolute ? UriKind.Absolute : UriKind.Relative, out uri) || (isAbsolute && uri.Host.Contains(Wildcard.Any))
                ? "it cannot be read, or its host has a wildcard"
            : null;
        return problem is null && uri is not null
            ? new AddressPattern(address, uri, path, parts.Length == 1 ? null : parts[1])
            : throw new ArgumentException($"'{address}' is no address for an answer: {problem}.", nameof(address));
    }

    /// <param name="requested">The request's absolute address.</param>
    /// <param name="baseAddress">The base address that it is under; null where it goes to another host than Sparkfly's.</param>
    public bool FitsPath(Uri requested, Uri? baseAddress)
    {
        // As the client resolves it.
        Uri? target = _address.IsAbsoluteUri ? _address : baseAddress is null ? null : new Uri(baseAddress, _address);
        return target is not null &&
            SparkflyHomes.IsSame(target, requested, UriComponents.SchemeAndServer) &&
            PathPattern.Fits(target.AbsolutePath, requested.AbsolutePath);
    }

    public bool FitsQuery(Uri requested) => _query is null || _query.FitsAll(NameValues.Parse(requested.Query.TrimStart('?')));

    public override string ToString() => _text;
}
