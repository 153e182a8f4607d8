using System.Diagnostics;
using System.Globalization;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Instances of one application, each a process of its own, that call a server when they are told to.</summary>
internal sealed class ProcessFleet : IAsyncDisposable
{
    private readonly Subprocess[] _instances;

    private ProcessFleet(Subprocess[] instances) => _instances = instances;

    /// <summary>Starts them; all are ready, and none has called, when the task is complete.</summary>
    /// <param name="size">How many.</param>
    /// <param name="server">Whom they call.</param>
    /// <param name="redis">The address of the cache that they share; empty for none.</param>
    /// <param name="settings">Further settings of the account, by name.</param>
    public static async Task<ProcessFleet> StartAsync(int size, StandInServer server, string redis, params (string Name, string Value)[] settings)
    {
        (string, string)[] environment =
        [
            ("Redis", redis),
            ("Sparkfly__BaseAddress", server.BaseAddress.AbsoluteUri),
            ("Sparkfly__Identity", server.Options.Identity),
            ("Sparkfly__Key", server.Options.Key),
            .. settings.Select(static s => ($"Sparkfly__{s.Name}", s.Value)),
        ];
        string node = AppContext.BaseDirectory.Replace("Sparkfly.Auth.Handler.Tests", "Sparkfly.Auth.Handler.FleetNode", StringComparison.Ordinal);
        var started = Stopwatch.StartNew();
        var fleet = new ProcessFleet(new Subprocess[size]);
        try
        {
            // A few at a time: where all start at once, the last ones may not have connected to the cache when the start of their host has waited enough.
            foreach (int[] group in Enumerable.Range(0, size).Chunk(2 * Environment.ProcessorCount))
            {
                foreach (int instance in group)
                {
                    fleet._instances[instance] = Subprocess.DotNet([Path.Combine(node, "Sparkfly.Auth.Handler.FleetNode.dll")], environment);
                }

                string[] lines = await Task.WhenAll(group.Select(i => fleet._instances[i].ReadLineAsync()));
                Assert.That(lines, Has.All.EqualTo("ready"));
            }
        }
        catch
        {
            await fleet.DisposeAsync();
            throw;
        }

        TestContext.Out.WriteLine($"{size} processes ready after {started.Elapsed.TotalSeconds:F1} s");
        return fleet;
    }

    /// <summary>Lets all of them make so many calls, all at one moment.</summary>
    /// <returns>How many calls failed, and how long the slowest took.</returns>
    public async Task<(int Failed, TimeSpan Slowest)> CallAsync(int calls)
    {
        await Task.WhenAll(_instances.Select(i => i.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"call {calls}"))));
        string[] lines = await Task.WhenAll(_instances.Select(static i => i.ReadLineAsync()));
        int[][] counts = [.. lines.Select(static l => l.Split(' ')).Select(static w => (int[])[Count(w[1]), Count(w[3]), Count(w[5]), Count(w[7])])];
        Assert.That(counts.Sum(static c => c[0] + c[1]), Is.EqualTo(calls * _instances.Length), "calls");
        Warned = counts.Count(static c => c[3] > 0);
        return (counts.Sum(static c => c[1]), TimeSpan.FromMilliseconds(counts.Max(static c => c[2])));
    }

    /// <summary>Sets the clocks of all of them ahead.</summary>
    public async Task PassAsync(TimeSpan time)
    {
        await Task.WhenAll(_instances.Select(i => i.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"pass {time.TotalSeconds}"))));
        string[] lines = await Task.WhenAll(_instances.Select(static i => i.ReadLineAsync()));
        Assert.That(lines, Has.All.EqualTo("passed"));
    }

    /// <summary>What all of them have written to their logs.</summary>
    public string Logs => string.Join('\n', _instances.Select(static i => i.Errors));

    /// <summary>
    /// How many had logged, by the end of the last calls, that the cache failed, or that they no longer wait for another instance, as on a machine that
    /// is too busy. From their answers: what they write to their logs comes later.
    /// </summary>
    public int Warned { get; private set; }

    public async ValueTask DisposeAsync()
    {
        foreach (Task end in _instances.Where(static i => i is not null).Select(static i => i.DisposeAsync().AsTask()).ToArray())
        {
            await end;
        }
    }

    private static int Count(string word) => int.Parse(word, CultureInfo.InvariantCulture);
}
