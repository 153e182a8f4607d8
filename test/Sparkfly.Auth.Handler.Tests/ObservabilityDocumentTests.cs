using System.Diagnostics.Metrics;
using System.Reflection;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/observability.md tells what there is to see.</summary>
public class ObservabilityDocumentTests
{
    private static readonly string[] s_page = Document.Lines("docs/observability.md");

    [Test]
    public void The_page_has_every_log_message_by_event_id_name_and_level_and_no_other()
    {
        string[] logged = [.. typeof(Log).GetMethods(BindingFlags.Static | BindingFlags.Public)
            .Select(static method => (method.Name, Message: method.GetCustomAttribute<LoggerMessageAttribute>()))
            .Where(static log => log.Message is not null)
            .Select(static log => $"| {log.Message!.EventId} | `{log.Message.EventName ?? log.Name}` | {log.Message.Level} |")];
        string[] listed = [.. Rows(after: "## Log messages").Select(static row => string.Join('|', row.Split('|')[..4]) + "|")];

        Assert.That(logged, Has.Length.GreaterThan(10).And.Unique);
        Assert.That(listed, Is.EquivalentTo(logged));
    }

    [Test]
    public async Task The_page_has_every_instrument_by_name_and_unit_and_no_other()
    {
        await using TestApp app = new InMemorySparkfly().App();
        var measured = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Name == "Sparkfly.Auth.Handler" && instrument.Meter.Scope == app.Services.GetRequiredService<IMeterFactory>())
            {
                string kind = instrument.GetType().Name.StartsWith("Histogram", StringComparison.Ordinal) ? "histogram" : "counter";
                measured.Add($"| `{instrument.Name}` | {kind}, {instrument.Unit} |");
            }
        };
        await app.Tokens.GetTokenAsync();
        listener.Start();

        string[] listed = [.. Rows(after: "## Metrics").TakeWhile(static row => row.Contains("sparkfly.", StringComparison.Ordinal))
            .Select(static row => string.Join('|', row.Split('|')[..3]) + "|")];
        Assert.That(measured, Has.Count.EqualTo(2));
        Assert.That(listed, Is.EquivalentTo(measured));
    }

    /// <summary>The rows of the section's tables, without their heads.</summary>
    private static IEnumerable<string> Rows(string after) => s_page
        .SkipWhile(line => line != after)
        .Skip(1)
        .TakeWhile(static line => !line.StartsWith("## ", StringComparison.Ordinal))
        .Where(static line => line.StartsWith('|'))
        .SkipWhile(static line => !line.StartsWith("|---", StringComparison.Ordinal))
        .Skip(1);
}
