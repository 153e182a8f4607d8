using Microsoft.Extensions.Caching.Distributed;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Five instances that share a token through <see cref="ChaosCache"/>, in rounds: something happens to the token, then all call at once, and the
/// tokens that the round has cost are counted. Time is the system's, so that leases and waits are what they are in production, and it is put forward
/// between the rounds.
/// </summary>
internal sealed class ChaosFleet : IAsyncDisposable
{
    /// <summary>
    /// What a fleet whose cache works may pay for one event on average: one, and another where an instance was held up for longer than a lease takes to
    /// settle, or ended with the token that it had just obtained.
    /// </summary>
    private const int MostOfFleet = 2;

    /// <summary>
    /// What an instance whose cache fails may pay: a token of its own and, where the cache gave it one that is rejected too, one in place of that.
    /// </summary>
    private const int MostOfInstance = 2;

    private const int Size = 5;
    private const int CallsOfInstance = 6;
    private static readonly TimeSpan s_usableLife = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_mostSkew = TimeSpan.FromMinutes(1);

    // Ends every backoff, the interval between forced renewals, and the time for which a cache that failed is left alone.
    private static readonly TimeSpan s_betweenRounds = TimeSpan.FromSeconds(31);

    private static readonly ChaosCacheTrouble[] s_troubles = Enum.GetValues<ChaosCacheTrouble>();
    private static readonly string[] s_events = ["revoked", "expired", "key rotated", "all restarted", "one ends in the middle"];

    private readonly string _name;
    private readonly ChaosService _service;
    private readonly ChaosWires _wires;
    private readonly ChaosCaller _caller;
    private readonly ChaosTally _tally;
    private readonly SystemClock _time = new();
    private readonly ChaosCache _cache;
    private readonly ChaosCredentials _credentials;
    private readonly SkewedClock[] _clocks;
    private readonly ChaosInstance[] _instances = new ChaosInstance[Size];
    private readonly List<ChaosLedger> _ledgers = [];
    private int _roundsThatWork;
    private int _tokensThatWork;
    private int _mostTokens;
    private readonly Random _random;
    private int _rounds;

    public ChaosFleet(string name, int seed, ChaosService service, ChaosWires wires, ChaosCaller caller, ChaosTally tally)
    {
        (_name, _service, _wires, _caller, _tally) = (name, service, wires, caller, tally);
        _random = new Random(~seed);
        _cache = new ChaosCache(_time);
        _credentials = new ChaosCredentials(ChaosService.Home, s_usableLife, new Dictionary<string, string?>
        {
            ["RefreshAhead"] = "00:00:00",
            ["MaxFailureBackoff"] = "00:00:05",
            ["DistributedCacheTimeout"] = "00:00:00.4",
        });
        _clocks = [.. _instances.Select(_ => new SkewedClock(_time))];
        for (int i = 0; i < Size; i++)
        {
            _instances[i] = NewInstance(i);
        }
    }

    /// <summary>What a run must have had.</summary>
    public static IEnumerable<string> Everything => [.. s_troubles.Select(NameOf), .. s_events.Select(NameOf)];

    public string Summary() =>
        $"{_rounds} rounds of a fleet of {Size}: {_tokensThatWork} tokens in {_roundsThatWork} where the cache works (bound {MostOfFleet * _roundsThatWork}), " +
        $"at most {_mostTokens} in one where it fails (bound {MostOfInstance * Size}, one more instance where one ends)";

    /// <summary>Plays rounds: each trouble at least once, each event with a cache that works at least once.</summary>
    public async Task RunAsync(int rounds)
    {
        List<(ChaosCacheTrouble Trouble, string Event)> plan =
        [
            .. s_troubles.Select(trouble => (trouble, Draw(s_events))),
            .. s_events.Select(static what => (ChaosCacheTrouble.Works, what)),
        ];
        while (plan.Count < rounds)
        {
            plan.Add((_random.Next(2) == 0 ? ChaosCacheTrouble.Works : Draw(s_troubles), Draw(s_events)));
        }

        foreach ((ChaosCacheTrouble trouble, string what) in plan.OrderBy(_ => _random.Next()).ToArray())
        {
            await PlayAsync(trouble, what);
        }

        if (_tokensThatWork > MostOfFleet * _roundsThatWork)
        {
            _tally.Problem($"{_roundsThatWork} rounds with a cache that works cost the fleet {_tokensThatWork} tokens, more than {MostOfFleet} each");
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ChaosInstance instance in _instances)
        {
            await instance.DisposeAsync();
        }
    }

    private static string NameOf(ChaosCacheTrouble trouble) => $"fleet: cache {trouble}";

    private static string NameOf(string what) => $"fleet: {what}";

    private T Draw<T>(T[] all) => all[_random.Next(all.Length)];

    private async Task PlayAsync(ChaosCacheTrouble trouble, string what)
    {
        _tally.Count(NameOf(trouble));
        _tally.Count(NameOf(what));
        _rounds++;
        _time.PutForward(what == "expired" ? s_usableLife + s_betweenRounds : s_betweenRounds);
        _cache.Trouble = trouble;
        await HappenAsync(what);

        int before = Obtained();
        Task[] calls =
        [
            .. from index in Enumerable.Range(0, Size)
               from call in Enumerable.Range(0, CallsOfInstance)
               let random = new Random(_random.Next())
               select CallAsync(_instances[index], $"{_name}-{_rounds}-{index}-{call}", random),
        ];
        int instances = Size;
        if (what == "one ends in the middle")
        {
            instances++;
            await RestartAsync(_random.Next(Size), TimeSpan.FromMilliseconds(_random.Next(300)));
        }

        await Task.WhenAll(calls);
        int tokens = Obtained() - before;
        if (trouble == ChaosCacheTrouble.Works)
        {
            _roundsThatWork++;
            _tokensThatWork += tokens;
            return;
        }

        _mostTokens = Math.Max(_mostTokens, tokens);
        if (tokens > MostOfInstance * instances)
        {
            _tally.Problem($"round {_rounds} ({trouble}, {what}) cost the fleet {tokens} tokens, where {MostOfInstance * instances} are the bound");
        }
    }

    private async Task HappenAsync(string what)
    {
        // Backwards too, and never further apart than a fleet's clocks may be.
        _clocks[_random.Next(Size)].Ahead = (_random.NextDouble() * 2 * s_mostSkew) - s_mostSkew;
        switch (what)
        {
            case "revoked" or "one ends in the middle":
                _credentials.Revoke();
                break;
            case "key rotated":
                _credentials.RotateKey();
                break;
            case "all restarted":
                for (int i = 0; i < Size; i++)
                {
                    await RestartAsync(i, TimeSpan.Zero);
                }

                break;
            default:
                break;
        }
    }

    private Task CallAsync(ChaosInstance instance, string id, Random random)
    {
        ChaosClient client = random.Next(4) == 0 ? ChaosClient.Http2 : ChaosClient.Copying;
        string kind = random.Next(10) switch { 0 => "temporary", 1 => "away", 2 => "slow", 3 => "accepted", _ => "plain" };
        return Task.Run(() => _caller.CallAsync(instance, client, "", kind, id, random));
    }

    private async Task RestartAsync(int index, TimeSpan after)
    {
        await Task.Delay(after);
        ChaosInstance former = _instances[index];
        _instances[index] = NewInstance(index);
        await former.DisposeAsync();
    }

    private ChaosInstance NewInstance(int index) => new(
        $"{_name}-{index}-{_ledgers.Count}",
        new Dictionary<string, ChaosCredentials> { [""] = _credentials, ["other"] = _credentials },
        _clocks[index],
        credentials =>
        {
            var ledger = new ChaosLedger(credentials, _time) { Skew = 2 * s_mostSkew, Fleet = this };
            _ledgers.Add(ledger);
            return ledger;
        },
        _service,
        _wires,
        _tally,
        services =>
        {
            services.AddSparkflyAuth(_ => { }).UseDistributedCache();
            services.AddSingleton<IDistributedCache>(_cache);
        });

    private int Obtained() => _ledgers.Sum(static l => l.Obtained);
}
