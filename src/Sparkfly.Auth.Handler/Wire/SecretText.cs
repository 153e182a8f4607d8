namespace Sparkfly.Auth.Handler;

/// <summary>Finds a secret in a text for people.</summary>
internal static class SecretText
{
    // An echo may be cut or decorated ("key 1a2b3c4d… is unknown"), so a part of a secret counts too, from this length on.
    private const int PartLength = 8;

    private const int TokenLength = 64;

    /// <summary>Whether the text holds one of the secrets, whole or in part, or what looks like a token.</summary>
    public static bool IsAnyIn(string text, IEnumerable<string> secrets) => secrets.Any(s => IsIn(text, s)) || HasToken(text);

    /// <summary>Whether the text holds the secret, whole or in part.</summary>
    public static bool IsIn(ReadOnlySpan<char> text, ReadOnlySpan<char> secret)
    {
        if (secret.Length < PartLength)
        {
            return IsWordIn(text, secret);
        }

        for (int start = 0; start + PartLength <= secret.Length; start++)
        {
            if (text.Contains(secret.Slice(start, PartLength), StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }

    // A short one, such as the identity "17", would be found inside ordinary words and numbers.
    private static bool IsWordIn(ReadOnlySpan<char> text, ReadOnlySpan<char> secret)
    {
        for (int from = 0; text[from..].IndexOf(secret, StringComparison.OrdinalIgnoreCase) is >= 0 and int at; from += at + 1)
        {
            ReadOnlySpan<char> before = text[..(from + at)];
            ReadOnlySpan<char> after = text[(from + at + secret.Length)..];
            if ((before.IsEmpty || !char.IsLetterOrDigit(before[^1])) && (after.IsEmpty || !char.IsLetterOrDigit(after[0])))
            {
                return true;
            }
        }

        return false;
    }

    // Sparkfly's tokens are 64 hex digits, and earlier ones stay valid when they are not known here any more. Source: Sparkfly's API guide.
    private static bool HasToken(ReadOnlySpan<char> text)
    {
        int digits = 0;
        foreach (char c in text)
        {
            digits = char.IsAsciiHexDigit(c) ? digits + 1 : 0;
            if (digits == TokenLength)
            {
                return true;
            }
        }

        return false;
    }
}
