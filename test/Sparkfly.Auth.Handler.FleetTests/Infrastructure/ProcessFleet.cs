using System.Diagnostics;
using System.Globalization;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Processes, each with an instance of one application, that call a server when they are told to.</summary>
internal sealed class ProcessFleet : IAsyncDisposable
{
    private readonly Subprocess[] _processes;

    private ProcessFleet(int size)
    {
        string node = AppContext.BaseDirectory.Replace("Sparkfly.Auth.Handler.FleetTests", "Sparkfly.Auth.Handler.FleetNode", StringComparison.Ordinal);
        _processes = [.. Enumerable.Range(0, size).Select(_ => Subprocess.DotNet([Path.Combine(node, "Sparkfly.Auth.Handler.FleetNode.dll")]))];
    }

    /// <summary>Starts the processes.</summary>
    public static ProcessFleet Start(int size) => new(size);

    /// <summary>
    /// Starts a new instance in each process, in the place of the one before; all are ready, and none has called, when the task is complete.
    /// </summary>
    /// <param name="server">Whom they call.</param>
    /// <param name="redis">The address of the cache that they share; empty for none.</param>
    /// <param name="settings">Further settings of the account, by name.</param>
    public async Task StartInstancesAsync(StandInServer server, string redis, params (string Name, string Value)[] settings)
    {
        string order = string.Join('\t', [
            "start",
            $"Redis={redis}",
            $"Sparkfly:BaseAddress={server.BaseAddress}",
            $"Sparkfly:Identity={server.Options.Identity}",
            $"Sparkfly:Key={server.Options.Key}",
            .. settings.Select(static s => $"Sparkfly:{s.Name}={s.Value}"),
        ]);
        var started = Stopwatch.StartNew();

        // A few at a time: where all start at once, the last ones may not have connected to the cache when the start of their host has waited enough.
        foreach (Subprocess[] group in _processes.Chunk(2 * Environment.ProcessorCount))
        {
            Assert.That(await OrderAsync(group, order), Has.All.EqualTo("ready"));
        }

        TestContext.Out.WriteLine($"{_processes.Length} instances ready after {started.Elapsed.TotalSeconds:F1} s");
    }

    /// <summary>Lets all of them make so many calls, all at one moment.</summary>
    /// <returns>How many calls failed, and how long the slowest took.</returns>
    public async Task<(int Failed, TimeSpan Slowest)> CallAsync(int calls)
    {
        string[] lines = await OrderAsync(_processes, string.Create(CultureInfo.InvariantCulture, $"call\t{calls}"));
        int[][] counts = [.. lines.Select(static l => l.Split(' ')).Select(static w => (int[])[Count(w[1]), Count(w[3]), Count(w[5]), Count(w[7])])];
        Assert.That(counts.Sum(static c => c[0] + c[1]), Is.EqualTo(calls * _processes.Length), "calls");
        Warned = counts.Count(static c => c[3] > 0);
        return (counts.Sum(static c => c[1]), TimeSpan.FromMilliseconds(counts.Max(static c => c[2])));
    }

    /// <summary>Sets the clocks of all of them ahead.</summary>
    public async Task PassAsync(TimeSpan time) => Assert.That(
        await OrderAsync(_processes, string.Create(CultureInfo.InvariantCulture, $"pass\t{time.TotalSeconds}")), Has.All.EqualTo("passed"));

    /// <summary>What all of them have written to their logs.</summary>
    public string Logs => string.Join('\n', _processes.Select(static p => p.Errors));

    /// <summary>
    /// How many had logged, by the end of the last calls, that the cache failed, or that they no longer wait for another instance, as on a machine that
    /// is too busy. From their answers: what they write to their logs comes later.
    /// </summary>
    public int Warned { get; private set; }

    public async ValueTask DisposeAsync()
    {
        foreach (Task end in _processes.Select(static p => p.DisposeAsync().AsTask()).ToArray())
        {
            await end;
        }
    }

    private static async Task<string[]> OrderAsync(Subprocess[] processes, string order)
    {
        await Task.WhenAll(processes.Select(p => p.WriteLineAsync(order)));
        return await Task.WhenAll(processes.Select(static p => p.ReadLineAsync()));
    }

    private static int Count(string word) => int.Parse(word, CultureInfo.InvariantCulture);
}
