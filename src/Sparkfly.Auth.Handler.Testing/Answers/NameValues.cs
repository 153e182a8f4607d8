namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The parameters of a query or of a form, decoded, in their order. Immutable.</summary>
internal sealed class NameValues
{
    private readonly (string Name, string Value)[] _pairs;

    private NameValues((string Name, string Value)[] pairs) => _pairs = pairs;

    /// <param name="text">The query without its question mark, or the form.</param>
    public static NameValues Parse(string text) => new([.. text.Split('&', StringSplitOptions.RemoveEmptyEntries).Select(static pair =>
    {
        int equals = pair.IndexOf('=', StringComparison.Ordinal);
        return equals < 0 ? (Decode(pair), "") : (Decode(pair[..equals]), Decode(pair[(equals + 1)..]));
    })]);

    /// <summary>Whether a parameter has this name and a value that fits; <see langword="null"/> for any value.</summary>
    public bool Has(string name, string? value) => _pairs.Any(p => p.Name == name && (value is null || FitsValue(value, p.Value)));

    /// <summary>Whether both have the same parameters, in any order. The values of this one may have wildcards.</summary>
    public bool FitsAll(NameValues actual)
    {
        List<(string Name, string Value)> left = [.. actual._pairs];

        // Those without a wildcard first, so that none of theirs is taken by another.
        foreach ((string name, string value) in _pairs.OrderBy(static p => p.Value.Contains(Wildcard.Any)))
        {
            int found = left.FindIndex(p => p.Name == name && FitsValue(value, p.Value));
            if (found < 0)
            {
                return false;
            }

            left.RemoveAt(found);
        }

        return left.Count == 0;
    }

    private static bool FitsValue(string pattern, string value) => Wildcard.Fits(pattern, value, StringComparison.Ordinal);

    private static string Decode(string text) => Uri.UnescapeDataString(text.Replace('+', ' '));
}
