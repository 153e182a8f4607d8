using System.Globalization;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// The world of a chaos run. Sixteen workers call through three instances of an application (<see cref="ChaosInstance"/>), each with four accounts of
/// three identities, while at random
/// <list type="bullet">
/// <item>time passes, jumps by minutes and hours, and the clocks of two instances are set forwards and backwards;</item>
/// <item>tokens are revoked, keys are rotated by a reload, an invalid reload comes in between;</item>
/// <item>containers are disposed of with calls in flight, and others take over;</item>
/// <item><c>/auth</c> is slow, refuses, fails and breaks the connection; endpoints fail, break, reject every token, redirect to the origin and away;</item>
/// <item>callers cancel; handlers above copy, retry and hedge.</item>
/// </list>
/// Beside them, two fleets (<see cref="ChaosFleet"/>) of five instances each share a token through a cache that fails.
/// </summary>
internal sealed class ChaosRun : IAsyncDisposable
{
    /// <summary>What garbage collection may leave uncollected, and the run itself keeps: what it knows of each token and each trace.</summary>
    public const long MostGrownMemory = 12L * 1024 * 1024;

    private const int Workers = 16;

    // They mostly wait.
    private const int Fleets = 2;

    private const int RequestsPerEvent = 1000;
    private const int RequestsPerRound = 5000;
    private static readonly TimeSpan s_usableLife = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_refreshAhead = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_refreshInterval = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan s_mostSkew = TimeSpan.FromMinutes(1);

    /// <summary>What happens every thousand requests.</summary>
    private static readonly (string What, int Times)[] s_events =
    [
        ("revocation", 5), ("rotation", 3), ("jump of minutes", 3), ("jump of hours", 2), ("clock set forwards", 2), ("clock set backwards", 3), ("restart", 2),
    ];

    private static readonly string[] s_everything =
    [
        "plain", "slow", "error", "reset", "refuse", "accepted", "found", "temporary", "permanent", "away", "stray", "round", "back", "returned",
        "200", "202", "401", "500", "connection lost", "without a token", "cancelled", "copied", "copied, account and all lost", "container disposed",
        .. s_events.Select(static e => e.What),
        "token issued", "token request reset", "token request refused 401", "token request refused 502", "token request refused 503",
        .. Enum.GetNames<ChaosClient>(), .. ChaosFleet.Everything,
    ];

    private readonly int _seed;
    private readonly int _requests;
    private readonly ChaosClock _clock = new(s_usableLife - s_refreshAhead, s_refreshInterval);
    private readonly ChaosService _service;
    private readonly ChaosWires _wires;
    private readonly ChaosCaller _caller;
    private readonly ChaosFleet[] _fleets;
    private readonly Dictionary<string, ChaosCredentials> _accounts;
    private readonly ChaosInstance[] _instances = new ChaosInstance[3];
    private readonly SkewedClock[] _clocks;
    private readonly ChaosDeck<string> _events;
    private int _started;
    private int _ended;
    private int _generations;
    private int _clockChanges;
    private long _memoryAfterTenth;

    private ChaosRun(int seed, int requests, ChaosTally tally, ChaosService service, ChaosWires wires)
    {
        (_seed, _requests, Tally, _service, _wires) = (seed, requests, tally, service, wires);
        _events = new ChaosDeck<string>(new Random(seed), s_events);
        _caller = new ChaosCaller(service.Traffic, tally);
        _fleets = [.. Enumerable.Range(1, Fleets).Select(number => new ChaosFleet($"fleet{number}", seed + number, service, wires, _caller, tally))];
        var settings = new Dictionary<string, string?>
        {
            ["RefreshAhead"] = $"{s_refreshAhead}",
            ["UnauthorizedRefreshInterval"] = $"{s_refreshInterval}",

            // Not a matter of the fake clock, which runs a thousand times as fast as a connection.
            ["AuthTimeout"] = "1.00:00:00",
        };
        var credentials = new ChaosCredentials(ChaosService.Home, s_usableLife, settings);
        _accounts = new Dictionary<string, ChaosCredentials>
        {
            [""] = credentials,
            ["twin"] = credentials,
            ["third"] = new(ChaosService.Home, s_usableLife, settings),
            ["other"] = new(ChaosService.OtherHome, s_usableLife, settings),
        };
        _clocks = [.. _instances.Select(_ => new SkewedClock(_clock))];
        for (int i = 0; i < _instances.Length; i++)
        {
            _instances[i] = NewInstance(i);
        }
    }

    public ChaosTally Tally { get; }

    public int Ended => _ended;

    /// <summary>How much more memory is in use at the end than after the first tenth, in bytes.</summary>
    public long GrownMemory { get; private set; }

    public static async Task<ChaosRun> StartAsync(int seed, int requests)
    {
        var tally = new ChaosTally();
        var service = new ChaosService(tally, seed);
        return new ChaosRun(seed, requests, tally, service, await ChaosWires.StartAsync(service));
    }

    public async Task RunAsync()
    {
        using ChaosTraces traces = ChaosTraces.Start();
        using var ended = new CancellationTokenSource();
        Task[] besides = [PassTimeAsync(ended.Token), ReportHangingAsync(ended.Token)];
        Task[] workers =
        [
            .. _fleets.Select(fleet => fleet.RunAsync(_requests / RequestsPerRound / Fleets)),
            .. Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(worker))),
        ];
        await Task.WhenAll(workers).WaitAsync(TimeSpan.FromMinutes(10) + TimeSpan.FromMilliseconds(10L * _requests));
        await ended.CancelAsync();
        await Task.WhenAll(besides);
        GrownMemory = GC.GetTotalMemory(forceFullCollection: true) - _memoryAfterTenth;
    }

    /// <summary>What is wrong with the number of token requests.</summary>
    public IEnumerable<string> OverBound()
    {
        foreach (ChaosLedger ledger in _service.Ledgers)
        {
            if (ledger.Obtained > ledger.Bound)
            {
                yield return $"an instance obtained {ledger.Obtained} tokens with one identity, where {ledger.Bound} are the bound";
            }

            if (ledger.MostInFlight > 1)
            {
                yield return $"an instance had {ledger.MostInFlight} token requests in flight at once with one key";
            }
        }
    }

    public IEnumerable<string> NeverInjected() => s_everything.Where(what => !Tally.Has(what));

    public string Summary()
    {
        ChaosLedger[] single = [.. _service.Ledgers.Where(static l => l.Fleet is null)];
        return $"{_clock.GetUtcNow() - _clock.Start} on the clock, {_generations} containers; {Tally}; {string.Join("; ", _fleets.Select(static f => f.Summary()))}; " +
            $"all containers obtained {single.Sum(static l => l.Obtained)} tokens (bound {single.Sum(static l => l.Bound)}), and the service failed " +
            $"{single.Sum(static l => l.Failed)} of their requests; memory +{GrownMemory / 1024.0 / 1024.0:F1} MiB";
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ChaosInstance instance in _instances)
        {
            await instance.DisposeAsync();
        }

        foreach (ChaosFleet fleet in _fleets)
        {
            await fleet.DisposeAsync();
        }

        await _wires.DisposeAsync();
    }

    /// <summary>
    /// How many tokens the time until now allows one container to obtain with one identity, whatever the number of its accounts, clients and requests:
    /// one for each life of a token, down to the refresh window; one for each interval in which a 401 may force it; for each new key a first one and a
    /// forced one; one where a jump of the time, or a clock that is set, ends a life or an interval in its middle.
    /// Token requests that the service failed are not in it: those were injected.
    /// </summary>
    private double Allowed(ChaosCredentials credentials) => _clock.Elapsed(s_usableLife - s_refreshAhead) + _clock.Elapsed(s_refreshInterval) +
        (2 * credentials.KeyVersion) + _clock.Jumps + Volatile.Read(ref _clockChanges);

    private ChaosInstance NewInstance(int index)
    {
        // The first one's clock is right. A token's life is off by as much as the clock was set meanwhile.
        TimeSpan skew = index == 0 ? TimeSpan.Zero : 2 * s_mostSkew;
        return new ChaosInstance(
            $"{Interlocked.Increment(ref _generations)}",
            _accounts,
            _clocks[index],
            credentials => new ChaosLedger(credentials, _clock, Allowed) { Skew = skew },
            _service,
            _wires,
            Tally);
    }

    private async Task WorkAsync(int worker)
    {
        var random = new Random((_seed * 31) + worker);
        while (Interlocked.Increment(ref _started) is var number && number <= _requests)
        {
            await InjectAsync(random, number);
            ChaosClient client = DrawClient(random);
            Tally.Count($"{client}");
            string account = client == ChaosClient.OtherAccount ? "other" : _accounts.Keys.ElementAt(random.Next(_accounts.Count));
            ChaosInstance instance = Volatile.Read(ref _instances[random.Next(_instances.Length)]);
            await _caller.CallAsync(instance, client, account, DrawKind(random), $"{worker}-{number.ToString(CultureInfo.InvariantCulture)}", random);
            if (Interlocked.Increment(ref _ended) == _requests / 10)
            {
                _memoryAfterTenth = GC.GetTotalMemory(forceFullCollection: true);
            }

            // A call that never waits must not keep the processor from those that do.
            await Task.Yield();
        }
    }

    private static ChaosClient DrawClient(Random random) => random.Next(100) switch
    {
        0 or 1 => ChaosClient.Http1,
        2 or 3 => ChaosClient.Http2,
        4 => ChaosClient.Bounded,
        5 => ChaosClient.BoundedToo,
        < 14 => ChaosClient.Hedging,
        < 24 => ChaosClient.Retrying,
        < 34 => ChaosClient.OtherAccount,
        _ => ChaosClient.Copying,
    };

    private static string DrawKind(Random random) => random.Next(200) switch
    {
        < 2 => "refuse",
        < 4 => "reset",
        < 6 => "error",
        6 => "found",
        7 => "temporary",
        8 => "permanent",
        9 => "away",
        10 => "stray",
        11 => "round",
        < 16 => "accepted",
        < 30 => "slow",
        _ => "plain",
    };

    private async Task InjectAsync(Random random, int number)
    {
        if (random.Next(50) == 0)
        {
            _clock.Pass(TimeSpan.FromSeconds(random.Next(1, 20)));
        }

        if (number % RequestsPerEvent != 0)
        {
            return;
        }

        string what = _events.Draw();
        Tally.Count(what);
        ChaosCredentials credentials = _accounts.Values.ElementAt(random.Next(_accounts.Count));
        switch (what)
        {
            case "revocation":
                credentials.Revoke();
                break;
            case "rotation":
                credentials.RotateKey();
                break;
            case "jump of minutes":
                _clock.Pass(TimeSpan.FromMinutes(random.Next(2, 60)));
                break;
            case "jump of hours":
                _clock.Pass(TimeSpan.FromHours(random.Next(1, 5)));
                break;
            case "restart":
                await RestartAsync(random.Next(_instances.Length));
                break;
            default:
                Interlocked.Increment(ref _clockChanges);
                _clocks[random.Next(1, _clocks.Length)].Ahead = (what == "clock set forwards" ? 1 : -1) * random.NextDouble() * s_mostSkew;
                break;
        }
    }

    private async Task RestartAsync(int index)
    {
        // Calls meet a container that is being disposed of, until another takes over.
        await _instances[index].DisposeAsync();
        await Task.Yield();
        Volatile.Write(ref _instances[index], NewInstance(index));
    }

    /// <summary>Waits end, also where no worker is left to let time pass.</summary>
    private async Task PassTimeAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            _clock.Pass(TimeSpan.FromMilliseconds(50));
            await Task.Delay(1, CancellationToken.None);
        }
    }

    private async Task ReportHangingAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            _caller.ReportHanging();
            await Task.Delay(200, CancellationToken.None);
        }
    }
}
