using System.Collections.Concurrent;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Counts what was injected and what came of it, and keeps what was wrong. Thread-safe.</summary>
internal sealed class ChaosTally
{
    private readonly ConcurrentDictionary<string, int> _counts = new();

    public ConcurrentQueue<string> Problems { get; } = new();

    public void Count(string what) => _counts.AddOrUpdate(what, 1, static (_, count) => count + 1);

    public bool Has(string what) => _counts.ContainsKey(what);

    public void Problem(string what)
    {
        // The first ones tell. A broken package would fill the memory.
        if (Problems.Count < 100)
        {
            Problems.Enqueue(what);
        }
    }

    public override string ToString() =>
        string.Join(", ", _counts.OrderBy(static c => c.Key, StringComparer.Ordinal).Select(static c => $"{c.Key} {c.Value}"));
}
