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
        var fleet = new ProcessFleet([.. Enumerable.Range(0, size).Select(_ =>
            Subprocess.DotNet([Path.Combine(node, "Sparkfly.Auth.Handler.FleetNode.dll")], environment))]);
        try
        {
            string[] lines = await Task.WhenAll(fleet._instances.Select(static i => i.ReadLineAsync()));
            Assert.That(lines, Has.All.EqualTo("ready"));
        }
        catch
        {
            await fleet.DisposeAsync();
            throw;
        }

        TestContext.Out.WriteLine($"{size} processes ready after {started.Elapsed.TotalSeconds:F1} s");
        return fleet;
    }

    /// <summary>Lets all of them make so many calls, all at one moment; each call must have been answered with 200.</summary>
    public async Task CallAsync(int calls)
    {
        await Task.WhenAll(_instances.Select(i => i.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"call {calls}"))));
        string[] lines = await Task.WhenAll(_instances.Select(static i => i.ReadLineAsync()));
        Assert.That(lines, Has.All.EqualTo($"answered {calls} failed 0"), () => string.Join('\n', _instances.Select(static i => i.Errors)));
    }

    /// <summary>How many have logged that the cache failed.</summary>
    public int Warned => _instances.Count(static i => i.Errors.Contains("left alone for a while", StringComparison.Ordinal));

    public async ValueTask DisposeAsync()
    {
        foreach (Task end in _instances.Select(static i => i.DisposeAsync().AsTask()).ToArray())
        {
            await end;
        }
    }
}
