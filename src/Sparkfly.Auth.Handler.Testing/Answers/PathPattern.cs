namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The path of an address: <c>*</c> stands for characters of one segment, <c>**</c> for any number of segments.</summary>
internal static class PathPattern
{
    private const string AnySegments = "**";

    public static bool HasWildcard(string path) => path.Contains(Wildcard.Any);

    /// <summary>Whether <c>**</c> stands anywhere but in the place of whole segments.</summary>
    public static bool IsBad(string path) => path.Split('/').Any(static s => s != AnySegments && s.Contains(AnySegments, StringComparison.Ordinal));

    public static bool Fits(string pattern, string path) => Fits(pattern.Split('/').AsSpan(), path.Split('/'));

    private static bool Fits(ReadOnlySpan<string> pattern, ReadOnlySpan<string> segments)
    {
        if (pattern.IsEmpty)
        {
            return segments.IsEmpty;
        }

        if (pattern[0] != AnySegments)
        {
            return !segments.IsEmpty &&
                Wildcard.Fits(pattern[0], segments[0], StringComparison.OrdinalIgnoreCase) &&
                Fits(pattern[1..], segments[1..]);
        }

        for (int i = 0; i <= segments.Length; i++)
        {
            if (Fits(pattern[1..], segments[i..]))
            {
                return true;
            }
        }

        return false;
    }
}
