using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>Runs <see cref="WarmPathBenchmarks"/>, several times over, and writes what a request costs in time and bytes.</summary>
internal static class WarmPath
{
    public static Task RunAsync(Run run)
    {
        // In this process, where no build and no other machine's load comes in between; the benchmarks warm all pipelines up alike, so none has the
        // compiler's guesses for itself. Several times over, so that what slows the machine down for a while does not slow down one of them alone.
        ManualConfig config = ManualConfig.CreateEmpty()
            .AddJob(Job.Default
                .WithToolchain(InProcessEmitToolchain.Instance)
                .WithWarmupCount(run.Times(full: 3, quick: 1))
                .WithIterationCount(run.Times(full: 5, quick: 3))
                .WithIterationTime(TimeInterval.FromMilliseconds(run.Times(full: 100, quick: 50))))
            .AddLogger(ConsoleLogger.Default)
            .WithArtifactsPath(Path.Combine(run.Root, "artifacts", "benchmarks"));
        var reports = new List<BenchmarkReport>();
        for (int i = 0; i < run.Times(full: 10, quick: 1); i++)
        {
            reports.AddRange(BenchmarkRunner.Run<WarmPathBenchmarks>(config).Reports);
        }

        if (reports.Count == 0 || reports.Any(static r => !r.Success))
        {
            throw new InvalidOperationException("A benchmark did not run; its output is above.");
        }

        Write(run, [.. reports.GroupBy(static r => r.BenchmarkCase.DisplayInfo).Select(static r => new Result([.. r]))]);
        return Task.CompletedTask;
    }

    private static void Write(Run run, IReadOnlyList<Result> results)
    {
        var page = new Page(run, "warm-path", "The warm path");
        page.Text(
            """
            One request when the token is at hand, over a primary handler that answers without a network: before `SendAsync` has returned
            (synchronous), or after it (asynchronous, as a network does). The pipelines are `IHttpClientFactory`'s, with its logging handlers, and
            differ in the one handler. Azure's policy stands in a pipeline of its own kind; its differences are those to that pipeline. Times are
            lower quartiles: what else the machine does meanwhile only adds to them. How much it added shows in the medians beside them.
            """);
        var timeBars = new List<Bar>();
        var byteBars = new List<Bar>();
        foreach (IGrouping<Answer, Result> answers in results.GroupBy(static r => r.Answer))
        {
            string group = $"{answers.Key} answer";
            page.Text($"**{group}**");
            page.Table(
                [
                    "pipeline", "ns", "median", "over no authentication, ns", "over constant header, ns",
                    "bytes", "over no authentication", "over constant header",
                ],
                answers.Select(result =>
                {
                    Result bare = answers.Single(r => r.Method == (result.IsAzure ? nameof(WarmPathBenchmarks.AzureBare) : nameof(WarmPathBenchmarks.Bare)));
                    Result? constant = result.IsAzure ? null : answers.Single(static r => r.Method == nameof(WarmPathBenchmarks.ConstantHeader));
                    return new[]
                    {
                        result.Label,
                        Figures.Whole(result.Time),
                        Figures.Whole(result.Median),
                        Figures.Difference(result.Time - bare.Time),
                        constant is null ? "" : Figures.Difference(result.Time - constant.Time),
                        Figures.Whole(result.Bytes),
                        Figures.Difference(result.Bytes - bare.Bytes),
                        constant is null ? "" : Figures.Difference(result.Bytes - constant.Bytes),
                    };
                }));
            foreach (Result result in answers)
            {
                bool isOurs = result.Method == nameof(WarmPathBenchmarks.Sparkfly);
                timeBars.Add(new Bar(group, result.Label, result.Time, $"{Figures.Whole(result.Time)} ns", isOurs, result.Time, result.Median));
                byteBars.Add(new Bar(group, result.Label, result.Bytes, $"{Figures.Whole(result.Bytes)} B", isOurs));
            }
        }

        page.Plot("time", new BarChart("Time of a request with a token at hand", "nanoseconds", timeBars));
        page.Plot("bytes", new BarChart("Allocation of a request with a token at hand", "bytes", byteBars));
        page.Save();
    }

    /// <summary>One benchmark's measurements of all runs.</summary>
    private sealed class Result(IReadOnlyList<BenchmarkReport> reports)
    {
        private readonly double[] _nanoseconds =
            [.. reports.SelectMany(static r => r.GetResultRuns()).Select(static m => m.Nanoseconds / m.Operations)];

        public Answer Answer => (Answer)reports[0].BenchmarkCase.Parameters[nameof(WarmPathBenchmarks.Answer)];

        public string Method => reports[0].BenchmarkCase.Descriptor.WorkloadMethod.Name;

        public string Label => reports[0].BenchmarkCase.Descriptor.WorkloadMethodDisplayInfo.Trim('\'');

        public bool IsAzure => Method.StartsWith("Azure", StringComparison.Ordinal);

        public double Time => Rounds.Quantile(_nanoseconds, 0.25);

        public double Median => Rounds.Quantile(_nanoseconds, 0.5);

        /// <summary>The least of all runs: what other threads of the process allocate meanwhile is counted along.</summary>
        public double Bytes => reports.Min(static r => r.GcStats.GetBytesAllocatedPerOperation(r.BenchmarkCase) ?? 0);
    }
}
