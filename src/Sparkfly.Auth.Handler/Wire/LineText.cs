using System.Globalization;

namespace Sparkfly.Auth.Handler;

/// <summary>What a message of one line may hold.</summary>
internal static class LineText
{
    /// <summary>
    /// Whether characters of this category break a message: control characters, separators of lines, marks that reverse a line's direction, and half a
    /// surrogate pair, which no encoding can write.
    /// </summary>
    public static bool IsBrokenBy(UnicodeCategory category) => category
        is UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Format or UnicodeCategory.Surrogate;
}
