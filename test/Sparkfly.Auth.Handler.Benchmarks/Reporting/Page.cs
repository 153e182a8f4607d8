using System.Globalization;
using System.Text;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>One measurement's results as a page of Markdown, with its plots beside it as SVG.</summary>
internal sealed class Page(Run run, string name, string title)
{
    private readonly StringBuilder _markdown = new();

    public void Text(string text) => _markdown.Append('\n').Append(text).Append('\n');

    /// <summary>A table whose columns but the first are figures.</summary>
    public void Table(IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        _markdown.Append('\n');
        Row(columns);
        Row([.. columns.Select(static (_, i) => i == 0 ? "---" : "---:")]);
        foreach (IReadOnlyList<string> row in rows)
        {
            Row(row);
        }

        void Row(IReadOnlyList<string> cells) => _markdown.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
    }

    public void Plot(string plotName, BarChart chart)
    {
        string file = $"{name}-{plotName}.svg";
        Save(file, chart.ToSvg($"{run.Description}"));
        _markdown.Append(CultureInfo.InvariantCulture, $"\n![{chart.Title}]({file})\n");
    }

    public void Save()
    {
        Save($"{name}.md",
            $"""
            # {title}

            Written by `dotnet run -c Release --project test/Sparkfly.Auth.Handler.Benchmarks -- {name}` on {run.Description}.

            ```text
            {run.Machine}
            ```

            """ + _markdown);
        Console.WriteLine(_markdown);
    }

    private void Save(string file, string text)
    {
        Directory.CreateDirectory(run.Folder);
        File.WriteAllText(Path.Combine(run.Folder, file), text);
    }
}

/// <summary>Figures as people read them.</summary>
internal static class Figures
{
    public static string Whole(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    public static string OneDigit(double value) => value.ToString("N1", CultureInfo.InvariantCulture);

    public static string Ratio(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    public static string Difference(double value) => value.ToString("+#,0;-#,0;0", CultureInfo.InvariantCulture);
}
