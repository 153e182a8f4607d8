using System.Globalization;
using System.Text;

namespace Sparkfly.Auth.Handler;

/// <summary>What a message of one line may hold.</summary>
internal static class LineText
{
    /// <summary>Whether a character breaks a message: a control character, a separator of lines, a mark that reverses a line's direction.</summary>
    public static bool IsBrokenBy(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Format;
}
