using System.Globalization;
using System.Text;

namespace Sparkfly.Auth.Handler;

/// <summary>What messages call an account. Its name may come from a request, so that it may hold anything and be of any length.</summary>
internal static class AccountName
{
    private const string Default = "(default)";
    private const int LongestShown = 100;

    public static string Label(string name) => name.Length == 0 ? "Sparkfly" : $"Sparkfly account '{Shown(name)}'";

    /// <summary>The name as a message shows it: on one line, cut where it is long. Shown twice, it stays the same.</summary>
    public static string Shown(string name)
    {
        if (name.Length == 0)
        {
            return Default;
        }

        if (name.Length <= LongestShown && !name.Any(NeedsEscape))
        {
            return name;
        }

        var shown = new StringBuilder();
        for (int i = 0; i < name.Length && shown.Length <= LongestShown; i++)
        {
            char c = name[i];
            if (char.IsHighSurrogate(c) && i + 1 < name.Length && char.IsLowSurrogate(name[i + 1]))
            {
                shown.Append(c).Append(name[++i]);
            }
            else
            {
                _ = c switch
                {
                    '\r' => shown.Append(@"\r"),
                    '\n' => shown.Append(@"\n"),
                    '\t' => shown.Append(@"\t"),
                    _ when NeedsEscape(c) => shown.Append(CultureInfo.InvariantCulture, $@"\u{(int)c:x4}"),
                    _ => shown.Append(c),
                };
            }
        }

        int length = char.IsHighSurrogate(shown[Math.Min(LongestShown, shown.Length) - 1]) ? LongestShown - 1 : LongestShown;
        return shown.Length <= LongestShown ? shown.ToString() : $"{shown.ToString(0, length)}…";
    }

    private static bool NeedsEscape(char c) => LineText.IsBrokenBy(char.GetUnicodeCategory(c));
}
