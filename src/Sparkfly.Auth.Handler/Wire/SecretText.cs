using System.Globalization;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace Sparkfly.Auth.Handler;

/// <summary>Finds a secret in a text for people.</summary>
internal static partial class SecretText
{
    // An echo may be cut or decorated ("key 1a2b3c4d… is unknown"), so a part of a secret counts too, from this length on.
    private const int PartLength = 8;

    // Of an encoded secret, whose short parts may stand in any text.
    private const int EncodedPartLength = 16;

    private const int TokenLength = 64;
    private const int MostDecodings = 3;

    /// <summary>Whether the text holds one of the secrets, whole or in part, as it is or encoded, or what looks like a token.</summary>
    public static bool IsAnyIn(string text, IReadOnlyCollection<string> secrets)
    {
        for (int i = 0; i <= MostDecodings; i++)
        {
            if (secrets.Any(s => IsIn(text, s)) || HasToken(text))
            {
                return true;
            }

            string decoded = Decode(text);
            if (decoded == text)
            {
                break;
            }

            text = decoded;
        }

        return false;
    }

    // As it is, or in hex digits or base64.
    private static bool IsIn(string text, string secret) =>
        secret.Length < PartLength ? IsWordIn(text, secret)
        : HasPart(text, secret, PartLength) || Encoded(secret).Any(e => HasPart(text, e, EncodedPartLength));

    // By hash codes: the time grows with the sum of the two lengths, not with their product, so that no server can make it long.
    private static bool HasPart(ReadOnlySpan<char> text, ReadOnlySpan<char> secret, int length)
    {
        length = Math.Min(length, secret.Length);
        var parts = new HashSet<int>();
        for (int start = 0; start + length <= secret.Length; start++)
        {
            parts.Add(string.GetHashCode(secret.Slice(start, length), StringComparison.OrdinalIgnoreCase));
        }

        for (int start = 0; start + length <= text.Length; start++)
        {
            ReadOnlySpan<char> part = text.Slice(start, length);
            if (parts.Contains(string.GetHashCode(part, StringComparison.OrdinalIgnoreCase)) && secret.Contains(part, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }

    // Base64 at each of the three places that a secret may have in what is encoded ("identity:key"), without the digits that depend on the rest.
    private static IEnumerable<string> Encoded(string secret)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(secret);
        yield return Convert.ToHexString(bytes);
        for (int before = 0; before < 3; before++)
        {
            string encoded = Convert.ToBase64String([.. new byte[before], .. bytes]);
            int whole = (before + bytes.Length) / 3 * 4;
            string certain = encoded[(before == 0 ? 0 : 4)..whole];
            yield return certain;
            if (certain.AsSpan().ContainsAny('+', '/'))
            {
                yield return certain.Replace('+', '-').Replace('/', '_');
            }
        }
    }

    /// <summary>Undoes the encodings of addresses, HTML and JSON.</summary>
    private static string Decode(string text)
    {
        text = WebUtility.HtmlDecode(Uri.UnescapeDataString(text));
        return EscapedCharacter().Replace(
            text, static m => ((char)int.Parse(m.Groups[1].ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)).ToString());
    }

    [GeneratedRegex(@"\\u([0-9a-f]{4})", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex EscapedCharacter();

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
