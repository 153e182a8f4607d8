using System.Diagnostics;
using System.Net;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>What it costs to wait for a token: very many callers behind one token request.</summary>
/// <remarks>
/// All callers have an <see cref="HttpClient"/>, as applications do. Bytes per waiter are the growth of the live heap from none to all waiting,
/// divided by their number; the release is the time from the answer to the token request to the last caller's own answer, which comes at once.
/// Compared are the same number of callers who wait in a bare pipeline for the API's answer, which is what waiting costs without any
/// authentication, and who wait for the hand-written handler's token.
/// </remarks>
internal static class WaitingRoom
{
    public static async Task RunAsync(Run run)
    {
        int callers = run.Times(full: 100_000, quick: 10_000);
        int times = run.Times(full: 7, quick: 2);
        var page = new Page(run, "waiting-room", "The waiting room");
        page.Text(
            $"""
            {Figures.Whole(callers)} callers wait for one token request; then it is answered. Bytes per waiter are everything that a waiting call holds:
            its message, what `HttpClient` needs for it, and its place in the queue. The release is the time from the answer to the moment when the
            last caller has its own, which the API gives at once. Without authentication the callers wait for the API itself. Medians of {times}
            runs, with the range in which the middle half lies.
            """);
        var rows = new List<string[]>();
        var bytesBars = new List<Bar>();
        var releaseBars = new List<Bar>();
        foreach ((Authentication authentication, string name) in ((Authentication, string)[])
            [(Authentication.None, "no authentication"), (Authentication.Sparkfly, "Sparkfly.Auth.Handler"), (Authentication.HandWritten, "hand-written")])
        {
            var measured = new List<(double Bytes, double Milliseconds, int TokenRequests)>();
            for (int i = 0; i <= times; i++)
            {
                measured.Add(await MeasureAsync(authentication, callers).ConfigureAwait(false));
            }

            // The first was for the compiler.
            measured.RemoveAt(0);
            double[] bytes = [.. measured.Select(static m => m.Bytes)];
            double[] release = [.. measured.Select(static m => m.Milliseconds)];
            (double bytesMedian, double releaseMedian) = (Rounds.Quantile(bytes, 0.5), Rounds.Quantile(release, 0.5));
            (double low, double high) = (Rounds.Quantile(release, 0.25), Rounds.Quantile(release, 0.75));
            bool isOurs = authentication == Authentication.Sparkfly;
            rows.Add([
                name, Figures.Whole(bytesMedian), Figures.OneDigit(releaseMedian), $"{Figures.OneDigit(low)}–{Figures.OneDigit(high)}",
                Figures.Whole(releaseMedian * 1_000_000 / callers), Figures.Whole(measured.Max(static m => m.TokenRequests))]);
            bytesBars.Add(new Bar("", name, bytesMedian, $"{Figures.Whole(bytesMedian)} B", isOurs));
            releaseBars.Add(new Bar("", name, releaseMedian, $"{Figures.OneDigit(releaseMedian)} ms", isOurs, low, high));
        }

        page.Table(["pipeline", "bytes per waiter", "release, ms", "middle half", "ns per waiter", "token requests"], rows);
        page.Plot("bytes", new BarChart($"{Figures.Whole(callers)} callers wait: memory for each", "bytes", bytesBars));
        page.Plot("release", new BarChart($"{Figures.Whole(callers)} callers are released", "milliseconds from the answer to the last caller", releaseBars));
        page.Save();
    }

    private static async Task<(double Bytes, double Milliseconds, int TokenRequests)> MeasureAsync(Authentication authentication, int callers)
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        async Task<HttpStatusCode?> HoldAsync()
        {
            await gate.Task.ConfigureAwait(false);
            return authentication == Authentication.None ? HttpStatusCode.OK : null;
        }

        FakeSparkfly sparkfly = authentication == Authentication.None ? new() { OnApiRequest = _ => HoldAsync() } : new() { OnTokenRequest = HoldAsync };
        using var pipeline = new Pipeline(authentication, sparkfly, sparkfly.Api);
        using HttpClient client = pipeline.Client();
        var calls = new Task<HttpStatusCode>[callers];

        long before = GC.GetTotalMemory(forceFullCollection: true);
        for (int i = 0; i < callers; i++)
        {
            calls[i] = CallAsync(client);
        }

        long bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        if (calls.Any(static c => c.IsCompleted))
        {
            throw new InvalidOperationException("A caller did not wait.");
        }

        long begin = Stopwatch.GetTimestamp();
        gate.SetResult();
        HttpStatusCode[] answers = await Task.WhenAll(calls).ConfigureAwait(false);
        double milliseconds = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        return answers.All(static a => a == HttpStatusCode.OK)
            ? ((double)bytes / callers, milliseconds, sparkfly.TokenRequests)
            : throw new InvalidOperationException("A caller was not answered.");
    }

    private static async Task<HttpStatusCode> CallAsync(HttpClient client)
    {
        using HttpResponseMessage response = await client.GetAsync(FakeSparkfly.Offers).ConfigureAwait(false);
        return response.StatusCode;
    }
}
