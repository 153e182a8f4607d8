using System.Globalization;
using System.Net;
using System.Text;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>A bar: its value, and the range in which half of the measurements lie, where there is one.</summary>
/// <param name="Group">The heading it stands under.</param>
/// <param name="Label">What it shows.</param>
/// <param name="Value">How long it is.</param>
/// <param name="Text">The value as it is written beside the bar.</param>
/// <param name="IsOurs">Whether it is this package's, which is drawn in a colour of its own.</param>
/// <param name="Low">The lower end of the range.</param>
/// <param name="High">The upper end of the range.</param>
internal sealed record Bar(string Group, string Label, double Value, string Text, bool IsOurs, double? Low = null, double? High = null);

/// <summary>Horizontal bars from zero, in groups, as SVG.</summary>
internal sealed record BarChart(string Title, string Unit, IReadOnlyList<Bar> Bars)
{
    private const int Width = 900;
    private const int LabelWidth = 330;
    private const int PlotWidth = 430;
    private const int BarHeight = 18;
    private const int RowHeight = 26;
    private const int GroupHeight = 34;
    private const int Top = 58;

    /// <summary>A value to compare with, drawn across all bars.</summary>
    public double? Reference { get; init; }

    public string ToSvg(string caption)
    {
        double scale = PlotWidth / NiceMaximum();
        var rows = new StringBuilder();
        int y = Top;
        foreach (IGrouping<string, Bar> group in Bars.GroupBy(static b => b.Group))
        {
            if (group.Key.Length > 0)
            {
                Text(rows, 16, y + GroupHeight - 12, group.Key, "start", "bold 13px");
                y += GroupHeight;
            }

            foreach (Bar bar in group)
            {
                Draw(rows, bar, y, scale);
                y += RowHeight;
            }
        }

        if (Reference is { } reference)
        {
            double x = LabelWidth + (reference * scale);
            rows.Append(
                CultureInfo.InvariantCulture,
                $"""<line x1="{x:F1}" y1="{Top}" x2="{x:F1}" y2="{y}" stroke="#b00020" stroke-dasharray="4 3"/>""");
            rows.Append('\n');
        }

        Text(rows, LabelWidth, y + 20, Unit, "start", "12px");
        Text(rows, 16, y + 44, caption, "start", "11px", "#666666");

        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture,
            $"""<svg xmlns="http://www.w3.org/2000/svg" width="{Width}" height="{y + 58}" viewBox="0 0 {Width} {y + 58}" font-family="sans-serif" role="img">""");
        svg.Append('\n').Append(CultureInfo.InvariantCulture, $"<title>{WebUtility.HtmlEncode(Title)}</title>").Append('\n');
        svg.Append("""<rect width="100%" height="100%" fill="#ffffff"/>""").Append('\n');
        Text(svg, 16, 30, Title, "start", "bold 16px");
        return svg.Append(rows).Append("</svg>\n").ToString();
    }

    private static void Draw(StringBuilder svg, Bar bar, int y, double scale)
    {
        double length = Math.Max(bar.Value * scale, 1);
        Text(svg, LabelWidth - 10, y + 14, bar.Label, "end", "13px");
        svg.Append(CultureInfo.InvariantCulture,
            $"""<rect x="{LabelWidth}" y="{y}" width="{length:F1}" height="{BarHeight}" fill="{(bar.IsOurs ? "#1f6feb" : "#9aa4b2")}"/>""");
        svg.Append('\n');
        double end = bar.Value;
        if (bar is { Low: { } low, High: { } high })
        {
            end = Math.Max(end, high);
            string x1 = (LabelWidth + (low * scale)).ToString("F1", CultureInfo.InvariantCulture);
            string x2 = (LabelWidth + (high * scale)).ToString("F1", CultureInfo.InvariantCulture);
            int middle = y + (BarHeight / 2);
            svg.Append(CultureInfo.InvariantCulture,
                $"""<path d="M{x1} {middle}H{x2}M{x1} {middle - 4}v8M{x2} {middle - 4}v8" stroke="#1b1f24" stroke-width="1.5" fill="none"/>""");
            svg.Append('\n');
        }

        Text(svg, LabelWidth + Math.Max(end * scale, 1) + 8, y + 14, bar.Text, "start", "12px");
    }

    private static void Text(StringBuilder svg, double x, double y, string text, string anchor, string font, string colour = "#1b1f24")
    {
        svg.Append(CultureInfo.InvariantCulture, $"""<text x="{x:F1}" y="{y:F1}" text-anchor="{anchor}" style="font:{font} sans-serif" fill="{colour}">""");
        svg.Append(WebUtility.HtmlEncode(text)).Append("</text>\n");
    }

    // A little more than the longest, so that what is written beside it has room.
    private double NiceMaximum() =>
        Math.Max(Bars.Max(static b => Math.Max(b.Value, b.High ?? 0)), Reference ?? 0) is var longest && longest > 0 ? longest * 1.02 : 1;
}
