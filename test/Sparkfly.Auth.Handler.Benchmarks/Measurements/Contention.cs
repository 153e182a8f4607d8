using System.Diagnostics;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>Whether callers at the same time get in each other's way: the throughput of many threads on one warm token.</summary>
/// <remarks>
/// The same pipelines as on the warm path, with synchronous answers. Each caller is a thread of its own that sends one request after another, so
/// that nothing but the handlers decides on the throughput. The pipelines run in turns; each round gives a ratio to the bare one of that round.
/// </remarks>
internal static class Contention
{
    public static async Task RunAsync(Run run)
    {
        var sparkfly = new FakeSparkfly();
        var api = new AnsweringHandler(Answer.Synchronous);
        using var bare = new Pipeline(Authentication.None, sparkfly, api);
        using var constantHeader = new Pipeline(Authentication.ConstantHeader, sparkfly, api);
        using var ours = new Pipeline(Authentication.Sparkfly, sparkfly, api);
        using var handWritten = new Pipeline(Authentication.HandWritten, sparkfly, api);

        var page = new Page(run, "contention", "Contention");
        page.Text(
            $"""
            Requests a second of 1, 2, 8 and 64 threads that share one warm token, on {Environment.ProcessorCount} processors, over a primary handler
            that answers at once. The pipelines run in turns; ratios are to the pipeline without authentication in the same round: their median, and
            the range in which the middle half of the rounds lies. A bare request takes a fraction of a microsecond here and some hundred over a
            network: what shows here is the worst case, and whether it stays the same with more callers.
            """);
        var rows = new List<string[]>();
        var bars = new List<Bar>();
        foreach (int callers in (int[])[1, 2, 8, 64])
        {
            Rounds[] measured = await Rounds.MeasureAsync(
                [
                    Load("no authentication", bare, callers),
                    Load("constant header", constantHeader, callers),
                    Load("Sparkfly.Auth.Handler", ours, callers),
                    Load("hand-written", handWritten, callers),
                ],
                run.Times(full: 16, quick: 2),
                TimeSpan.FromMilliseconds(run.Times(full: 250, quick: 50))).ConfigureAwait(false);
            string group = callers == 1 ? "1 caller" : $"{callers} callers";
            foreach (Rounds rounds in measured)
            {
                (double low, double high) = rounds.Spread;
                rows.Add([
                    $"{group}: {rounds.Load.Name}", Figures.Whole(rounds.Rate), Figures.Ratio(rounds.Ratio), $"{Figures.Ratio(low)}–{Figures.Ratio(high)}"]);
                bars.Add(new Bar(group, rounds.Load.Name, rounds.Ratio, Figures.Ratio(rounds.Ratio), rounds.Load.IsOurs, low, high));
            }
        }

        page.Table(["callers and pipeline", "requests/s", "relative", "middle half"], rows);
        page.Plot("throughput", new BarChart("Throughput on one warm token", "relative to the pipeline without authentication", bars) { Reference = 1 });
        page.Save();
    }

    private static Load Load(string name, Pipeline pipeline, int callers)
    {
        HttpMessageInvoker invoker = pipeline.Invoker();
        return new Load(name, name.StartsWith("Sparkfly", StringComparison.Ordinal), length => Task.FromResult(Rate(invoker, callers, length)));
    }

    private static double Rate(HttpMessageInvoker pipeline, int callers, TimeSpan length)
    {
        long requests = 0;
        bool isOver = false;
        using var start = new Barrier(callers + 1);
        Thread[] threads = [.. Enumerable.Range(0, callers).Select(_ => new Thread(() =>
        {
            start.SignalAndWait();
            long own = 0;
            for (; !Volatile.Read(ref isOver); own++)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, FakeSparkfly.Offers);
                using HttpResponseMessage response = pipeline.SendAsync(request, CancellationToken.None).GetAwaiter().GetResult();
            }

            Interlocked.Add(ref requests, own);
        }))];
        Array.ForEach(threads, static t => t.Start());
        start.SignalAndWait();
        long begin = Stopwatch.GetTimestamp();
        Thread.Sleep(length);
        Volatile.Write(ref isOver, true);
        Array.ForEach(threads, static t => t.Join());
        return requests / Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }
}
