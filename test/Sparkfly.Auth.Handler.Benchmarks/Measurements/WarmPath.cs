using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Mathematics;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using Perfolizer.Horology;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>Runs <see cref="WarmPathBenchmarks"/>, each benchmark in processes of its own, and writes what a request costs in time and bytes.</summary>
internal static class WarmPath
{
    public static Task RunAsync(Run run)
    {
        // Several processes of each: how code comes to lie in memory differs from one to the next by more than the measurements within one do.
        Job job = Job.Default
            .WithLaunchCount(run.Times(full: 5, quick: 1))
            .WithWarmupCount(run.Times(full: 5, quick: 2))
            .WithIterationCount(run.Times(full: 8, quick: 3))
            .WithIterationTime(TimeInterval.FromMilliseconds(run.Times(full: 150, quick: 50)));
        Summary summary = BenchmarkRunner.Run<WarmPathBenchmarks>(ManualConfig.CreateEmpty()
            .AddJob(job)
            .AddLogger(ConsoleLogger.Default)
            .AddColumnProvider(DefaultColumnProviders.Instance)
            .WithBuildTimeout(TimeSpan.FromMinutes(10))
            .WithArtifactsPath(Path.Combine(run.Root, "artifacts", "benchmarks")));
        if (summary.HasCriticalValidationErrors || summary.Reports.Length == 0 || summary.Reports.Any(static r => r.ResultStatistics is null))
        {
            throw new InvalidOperationException("A benchmark did not run; its output is above.");
        }

        Write(run, summary);
        return Task.CompletedTask;
    }

    private static void Write(Run run, Summary summary)
    {
        var page = new Page(run, "warm-path", "The warm path");
        page.Text(
            """
            One request when the token is at hand, over a primary handler that answers without a network: before `SendAsync` has returned
            (synchronous), or after it (asynchronous, as a network does). The pipelines are `IHttpClientFactory`'s, with its logging handlers, and
            differ in the one handler. Azure's policy stands in a pipeline of its own kind; its differences are those to that pipeline. Times are
            medians; beside them the range in which the middle half of the measurements lies, over several processes each.
            """);
        var bars = new List<(string Plot, Bar Bar)>();
        foreach (IGrouping<Answer, BenchmarkReport> answers in summary.Reports.GroupBy(static r => (Answer)r.BenchmarkCase.Parameters["Answer"]))
        {
            string group = $"{(answers.Key == Answer.Synchronous ? "Synchronous" : "Asynchronous")} answer";
            Dictionary<string, BenchmarkReport> reports = answers.ToDictionary(static r => r.BenchmarkCase.Descriptor.WorkloadMethod.Name);
            page.Text($"**{group}**");
            page.Table(
                ["pipeline", "ns", "middle half", "over no authentication, ns", "over constant header, ns", "bytes", "over no authentication", "over constant header"],
                answers.Select(report =>
                {
                    bool isAzure = Name(report).StartsWith("Azure", StringComparison.Ordinal);
                    BenchmarkReport bare = reports[isAzure ? nameof(WarmPathBenchmarks.AzureBare) : nameof(WarmPathBenchmarks.Bare)];
                    BenchmarkReport? constant = isAzure ? null : reports[nameof(WarmPathBenchmarks.ConstantHeader)];
                    Statistics time = report.ResultStatistics!;
                    return new[]
                    {
                        Label(report),
                        Figures.Whole(time.Median),
                        $"{Figures.Whole(time.Q1)}–{Figures.Whole(time.Q3)}",
                        Figures.Difference(time.Median - bare.ResultStatistics!.Median),
                        constant is null ? "" : Figures.Difference(time.Median - constant.ResultStatistics!.Median),
                        Figures.Whole(Bytes(report)),
                        Figures.Difference(Bytes(report) - Bytes(bare)),
                        constant is null ? "" : Figures.Difference(Bytes(report) - Bytes(constant)),
                    };
                }));
            foreach (BenchmarkReport report in answers)
            {
                Statistics time = report.ResultStatistics!;
                bool isOurs = Name(report) == nameof(WarmPathBenchmarks.Sparkfly);
                bars.Add(("time", new Bar(group, Label(report), time.Median, $"{Figures.Whole(time.Median)} ns", isOurs, time.Q1, time.Q3)));
                bars.Add(("bytes", new Bar(group, Label(report), Bytes(report), $"{Figures.Whole(Bytes(report))} B", isOurs)));
            }
        }

        page.Plot("time", new BarChart("Time of a request with a token at hand", "nanoseconds", Of("time")));
        page.Plot("bytes", new BarChart("Allocation of a request with a token at hand", "bytes", Of("bytes")));
        page.Save();

        List<Bar> Of(string plot) => [.. bars.Where(b => b.Plot == plot).Select(static b => b.Bar)];
    }

    private static string Name(BenchmarkReport report) => report.BenchmarkCase.Descriptor.WorkloadMethod.Name;

    private static string Label(BenchmarkReport report) => report.BenchmarkCase.Descriptor.WorkloadMethodDisplayInfo.Trim('\'');

    private static double Bytes(BenchmarkReport report) => report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase) ?? 0;
}
