using System.Globalization;
using System.Text;

namespace Sparkfly.Auth.Handler;

/// <summary>What messages call an account. Its name may come from a request, so that it may hold anything and be of any length.</summary>
internal static class AccountName
{
    private const string Default = "(default)";
    private const int LongestShown = 100;

    public static string Label(string name) => name.Length == 0 ? "Sparkfly" : $"Sparkfly account '{Shown(name)}'";

    /// <summary>The name as a message shows it: on one line, cut where it is long, without half surrogate pairs. Shown twice, it stays the same.</summary>
    public static string Shown(string name)
    {
        if (name.Length == 0)
        {
            return Default;
        }

        var shown = new StringBuilder();
        foreach (Rune rune in name.EnumerateRunes())
        {
            string part = rune.Value switch
            {
                '\r' => @"\r",
                '\n' => @"\n",
                '\t' => @"\t",
                _ when LineText.IsBrokenBy(rune) => string.Create(CultureInfo.InvariantCulture, $@"\u{rune.Value:x4}"),
                _ => rune.ToString(),
            };
            if (shown.Length + part.Length > LongestShown)
            {
                return shown.Append('…').ToString();
            }

            shown.Append(part);
        }

        return shown.ToString();
    }
}
