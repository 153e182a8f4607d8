using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/observability.md tells what there is to see.</summary>
public partial class ObservabilityDocumentTests
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
        IMeterFactory meters = app.Services.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Name == "Sparkfly.Auth.Handler" && instrument.Meter.Scope == meters)
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

    [Test]
    public async Task The_page_has_every_tag_of_the_instruments_with_every_value_and_no_other()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        var meters = app.Services.GetRequiredService<IMeterFactory>();
        using var durations = new MetricCollector<double>(meters, SparkflyMetrics.MeterName, SparkflyMetrics.TokenRequestDuration);
        using var answers = new MetricCollector<long>(meters, SparkflyMetrics.MeterName, SparkflyMetrics.Unauthorized);
        using HttpClient client = app.Client();

        // Out of each other's backoffs and intervals.
        await FailsAsync(HttpStatusCode.ServiceUnavailable);
        await FailsAsync(HttpStatusCode.Unauthorized);
        sparkfly.Recover();
        await app.Tokens.GetTokenAsync();
        sparkfly.OnApiRequest = static (_, _) => Task.FromResult<HttpResponseMessage?>(InMemorySparkfly.Status(HttpStatusCode.Unauthorized));
        (await client.GetAsync("offers")).Dispose();

        string[] measured =
        [
            .. durations.GetMeasurementSnapshot().SelectMany(static m => m.Tags).Select(static t => $"{SparkflyMetrics.TokenRequestDuration}: {t.Key} {t.Value}"),
            .. answers.GetMeasurementSnapshot().SelectMany(static m => m.Tags).Select(static t => $"{SparkflyMetrics.Unauthorized}: {t.Key} {t.Value}"),
        ];
        string[] listed = [.. Rows(after: "## Metrics")
            .Select(static row => row.Split('|', StringSplitOptions.TrimEntries))
            .Where(static cells => cells[1].StartsWith("`sparkfly.", StringComparison.Ordinal))
            .SelectMany(static cells => TagValue().Matches(cells[4]).Select(m => $"{cells[1]}: {cells[3]} {m.Groups[1].Value}".Replace("`", "")))];
        Assert.That(listed, Is.EquivalentTo(measured.Distinct()));

        async Task FailsAsync(HttpStatusCode status)
        {
            sparkfly.Fail(status);
            await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
            app.Time.Advance(TimeSpan.FromHours(1));
        }
    }

    [Test]
    public async Task The_page_has_the_activity_by_name_kind_and_tag()
    {
        await using TestApp app = new InMemorySparkfly().App();
        using Activity caller = new Activity("caller") { ActivityTraceFlags = ActivityTraceFlags.Recorded }.Start();
        var ended = new TaskCompletionSource<Activity>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == Telemetry.SourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
                options.Parent.TraceId == caller.TraceId ? ActivitySamplingResult.AllData : ActivitySamplingResult.None,
            ActivityStopped = activity => _ = activity.TraceId == caller.TraceId && ended.TrySetResult(activity),
        };
        ActivitySource.AddActivityListener(listener);
        await app.Tokens.GetTokenAsync();

        Activity activity = await ended.Task.WaitAsync(TestApp.Patience);
        string tag = activity.TagObjects.Single().Key;
        Assert.That(
            Rows(after: "## Traces").Single(),
            Does.StartWith($"| `{activity.OperationName}` | {activity.Kind.ToString().ToLowerInvariant()} | `{tag}`"));
    }

    /// <summary>In the words, commands and code of all pages, and in the samples.</summary>
    [TestCase("^Meter `([^`]+)`", SparkflyMetrics.MeterName)]
    [TestCase(@"dotnet-counters .*--counters (\S+)", SparkflyMetrics.MeterName)]
    [TestCase(@"\.AddMeter\(""([^""]+)""\)", SparkflyMetrics.MeterName)]
    [TestCase("^`ActivitySource` `([^`]+)`", Telemetry.SourceName)]
    [TestCase(@"\.AddSource\(""([^""]+)""\)", Telemetry.SourceName)]
    [TestCase("^Category `([^`]+)`", Log.Category)]
    public void Where_a_page_or_a_sample_listens_to_the_package_it_names_it_rightly(string place, string name)
    {
        string[] named = [.. Markdown.Pages
            .Concat(Directory.EnumerateFiles(Path.Combine(Document.Root, "docs", "samples"), "*.cs", SearchOption.AllDirectories))
            .SelectMany(Document.Lines)
            .SelectMany(line => Regex.Matches(line, place).Select(static m => m.Groups[1].Value))];

        Assert.That(named, Is.Not.Empty.And.All.EqualTo(name));
    }

    /// <summary>The rows of the section's tables, without their heads.</summary>
    private static IEnumerable<string> Rows(string after) => s_page
        .SkipWhile(line => line != after)
        .Skip(1)
        .TakeWhile(static line => !line.StartsWith("## ", StringComparison.Ordinal))
        .Where(static line => line.StartsWith('|'))
        .SkipWhile(static line => !line.StartsWith("|---", StringComparison.Ordinal))
        .Skip(1);

    /// <summary>A value of the tag, with what it means after it.</summary>
    [GeneratedRegex(@"`(\w+)`:")]
    private static partial Regex TagValue();
}
