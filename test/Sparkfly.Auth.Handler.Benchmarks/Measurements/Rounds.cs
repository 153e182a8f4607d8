namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>One of the loads that are compared with each other.</summary>
/// <param name="Name">What it is.</param>
/// <param name="IsOurs">Whether it is this package's.</param>
/// <param name="RateAsync">Runs it for the given time, and gives the requests a second.</param>
internal sealed record Load(string Name, bool IsOurs, Func<TimeSpan, Task<double>> RateAsync);

/// <summary>Loads that are run in turns, many short ones each, so that whatever slows the machine down for a while slows all of them down.</summary>
/// <param name="Load">What was measured.</param>
/// <param name="Rates">Requests a second in each round.</param>
/// <param name="Ratios">The same, relative to the first load's of the same round.</param>
internal sealed record Rounds(Load Load, double[] Rates, double[] Ratios)
{
    public double Rate => Quantile(Rates, 0.5);

    public double Ratio => Quantile(Ratios, 0.5);

    /// <summary>The range in which the middle half of the rounds' ratios lies.</summary>
    public (double Low, double High) Spread => (Quantile(Ratios, 0.25), Quantile(Ratios, 0.75));

    /// <param name="loads">The first is what the others are compared with.</param>
    /// <param name="rounds">How often each is run.</param>
    /// <param name="length">How long each is run.</param>
    public static async Task<Rounds[]> MeasureAsync(IReadOnlyList<Load> loads, int rounds, TimeSpan length)
    {
        foreach (Load load in loads)
        {
            // For the compiler, which has its best code ready after some thousand calls and a tenth of a second.
            await load.RateAsync(length * 2).ConfigureAwait(false);
        }

        double[][] rates = [.. loads.Select(_ => new double[rounds])];
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < loads.Count; i++)
            {
                // Each round begins with another load, and every other one runs backwards: none always follows the same one.
                int turn = round % 2 == 0 ? i : loads.Count - 1 - i;
                int load = (turn + (round / 2)) % loads.Count;
                rates[load][round] = await loads[load].RateAsync(length).ConfigureAwait(false);
            }
        }

        return [.. loads.Select((load, i) => new Rounds(load, rates[i], [.. rates[i].Zip(rates[0], static (rate, first) => rate / first)]))];
    }

    /// <summary>The value below which this part of the values lies.</summary>
    public static double Quantile(IEnumerable<double> values, double part)
    {
        double[] sorted = [.. values.Order()];
        double position = part * (sorted.Length - 1);
        double low = sorted[(int)position];
        double high = sorted[Math.Min((int)position + 1, sorted.Length - 1)];
        return low + ((high - low) * (position - (int)position));
    }
}
