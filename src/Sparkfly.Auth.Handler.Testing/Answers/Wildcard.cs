namespace Sparkfly.Auth.Handler.Testing;

/// <summary>A text in which <c>*</c> stands for any characters, none included.</summary>
internal static class Wildcard
{
    public const char Any = '*';

    public static bool Fits(string pattern, string text, StringComparison comparison)
    {
        string[] parts = pattern.Split(Any);
        if (parts.Length == 1)
        {
            return string.Equals(pattern, text, comparison);
        }

        int at = parts[0].Length;
        int end = text.Length - parts[^1].Length;
        if (at > end || !text.StartsWith(parts[0], comparison) || !text.EndsWith(parts[^1], comparison))
        {
            return false;
        }

        foreach (string part in parts[1..^1])
        {
            int found = text.IndexOf(part, at, end - at, comparison);
            if (found < 0)
            {
                return false;
            }

            at = found + part.Length;
        }

        return true;
    }
}
