using System.Diagnostics;
using System.Globalization;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// All of it at once. <see cref="ChaosRun"/> lists what is injected, <see cref="ChaosService"/> checks each message on the wire,
/// <see cref="ChaosCaller"/> what each caller gets, and <see cref="ChaosLedger"/> how many tokens may be requested.
/// </summary>
/// <remarks>
/// <c>SPARKFLY_CHAOS_REQUESTS</c> makes it longer, <c>SPARKFLY_CHAOS_SEED</c> repeats what a seed does (the threads' order aside).
/// </remarks>
[Category("Long")]
[NonParallelizable]
public class ChaosTests
{
    [Test]
    public async Task Every_request_ends_with_an_answer_of_its_own_or_a_clear_exception_and_the_token_requests_stay_within_their_bound()
    {
        int requests = Setting("SPARKFLY_CHAOS_REQUESTS") ?? 200_000;
        int seed = Setting("SPARKFLY_CHAOS_SEED") ?? Environment.TickCount & int.MaxValue;
        var watch = Stopwatch.StartNew();
        await TestContext.Out.WriteLineAsync($"SPARKFLY_CHAOS_SEED={seed}");

        await using ChaosRun run = await ChaosRun.StartAsync(seed, requests);
        await run.RunAsync();

        string summary = $"seed {seed}, {watch.Elapsed.TotalSeconds:F1} s, {run.Summary()}";
        await TestContext.Out.WriteLineAsync(summary);
        Assert.That(run.Tally.Problems.Take(10), Is.Empty, summary);
        Assert.That(run.Ended, Is.EqualTo(requests), summary);
        Assert.That(run.OverBound(), Is.Empty, summary);
        Assert.That(run.GrownMemory, Is.LessThan(ChaosRun.MostGrownMemory), $"bytes more at the end than after the first tenth: {summary}");
        Assert.That(run.NeverInjected(), Is.Empty, summary);
    }

    private static int? Setting(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;
}
