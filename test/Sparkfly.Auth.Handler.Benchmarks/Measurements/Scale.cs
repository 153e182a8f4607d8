using System.Diagnostics;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>Very many accounts in one process: memory for each, the time of a request among them, and whether a month leaves anything behind.</summary>
/// <remarks>
/// The accounts are registered with <c>AddSparkflyAuth(name, …)</c>, or found by an <see cref="ISparkflyAccountSource"/>; one client sends the
/// requests of all of them, each of which names its account. The clock is fake, the service answers without a socket; so what a real primary handler
/// holds, its connections above all, is not in the figures. Live bytes are counted after a full collection.
/// </remarks>
internal static class Scale
{
    private const int Days = 30;

    // Each account's key is another one so many times in the month.
    private const int Rotations = 3;

    public static async Task RunAsync(Run run)
    {
        int count = run.Times(full: 10_000, quick: 500);
        var page = new Page(run, "scale", "Many accounts");
        page.Text(
            $"""
            {Figures.Whole(count)} accounts in one process, and one client that sends the requests of all of them. Bytes are what lives after a full
            collection. The service answers without a socket, so what a real connection holds is not in them.
            """);
        await WriteSourcedAsync(run, page, count).ConfigureAwait(false);
        await WriteRegisteredAsync(run, page, count).ConfigureAwait(false);
        page.Save();
    }

    private static async Task WriteSourcedAsync(Run run, Page page, int count)
    {
        page.Text(
            """
            **Found by an `ISparkflyAccountSource`**, as an application with tenants has them. What an account costs comes with its first request. When
            none of them has had a request for an hour the accounts are removed, and their tokens at the end of their use.
            """);
        long empty = LiveBytes();
        using var accounts = new Accounts(count, isSourced: true);
        long begin = Stopwatch.GetTimestamp();
        await accounts.SendForEachAsync().ConfigureAwait(false);
        string seconds = Figures.OneDigit(Stopwatch.GetElapsedTime(begin).TotalSeconds);
        string warm = BytesPerAccount(empty, count);
        string[][] times = await TimesAsync(run, accounts).ConfigureAwait(false);
        await accounts.SendAfterAsync(TimeSpan.FromMinutes(61), tokensLeft: count).ConfigureAwait(false);
        string outOfUse = BytesPerAccount(empty, count);
        await accounts.SendAfterAsync(TimeSpan.FromDays(1), tokensLeft: 1).ConfigureAwait(false);
        page.Table(
            ["", "bytes per account", "seconds for all"],
            [
                ["after the first request of each", warm, seconds],
                ["an hour out of use", outOfUse, ""],
                ["a day out of use", BytesPerAccount(empty, count), ""],
            ]);
        page.Text("A request with the account's token at hand; the accounts come in a shuffled order, so that their memory is not at hand either.");
        page.Table(["", "ns", "middle half"], times);
    }

    private static async Task WriteRegisteredAsync(Run run, Page page, int count)
    {
        page.Text(
            """
            **Registered by name.** Each has options and an HTTP client of its own, by name, which the platform finds by looking through those of all;
            so the time for all of them grows with the square of their number. Thousands of accounts are better found by a source.
            """);
        long empty = LiveBytes();
        long begin = Stopwatch.GetTimestamp();
        using var accounts = new Accounts(count, isSourced: false);
        double registration = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        string registered = BytesPerAccount(empty, count);
        begin = Stopwatch.GetTimestamp();
        await accounts.SendForEachAsync().ConfigureAwait(false);
        double firstRequests = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        page.Table(
            ["", "bytes per account", "seconds for all"],
            [
                ["registered", registered, Figures.OneDigit(registration)],
                ["after the first request of each", BytesPerAccount(empty, count), Figures.OneDigit(firstRequests)],
            ]);
        page.Table(["a request with the token at hand", "ns", "middle half"], await TimesAsync(run, accounts).ConfigureAwait(false));
        await WriteMonthAsync(page, accounts, empty).ConfigureAwait(false);
    }

    private static async Task<string[][]> TimesAsync(Run run, Accounts accounts)
    {
        Rounds[] measured = await Rounds.MeasureAsync(
            [
                new Load("always the same account", true, length => Task.FromResult(accounts.Rate(1, length))),
                new Load($"one of {Figures.Whole(accounts.Count)} accounts", true, length => Task.FromResult(accounts.Rate(accounts.Count, length))),
            ],
            run.Times(full: 20, quick: 2),
            TimeSpan.FromMilliseconds(run.Times(full: 250, quick: 50))).ConfigureAwait(false);
        return
        [
            .. measured.Select(static m =>
            {
                double[] times = [.. m.Rates.Select(static r => 1e9 / r)];
                (double low, double high) = (Rounds.Quantile(times, 0.25), Rounds.Quantile(times, 0.75));
                return new[] { m.Load.Name, Figures.Whole(1e9 / m.Rate), $"{Figures.Whole(low)}–{Figures.Whole(high)}" };
            }),
        ];
    }

    private static async Task WriteMonthAsync(Page page, Accounts accounts, long empty)
    {
        var bars = new List<Bar>();
        var rows = new List<string[]>();
        for (int day = 0; day <= Days; day++)
        {
            if (day > 0)
            {
                await accounts.LiveADayAsync(day - 1, Days / Rotations).ConfigureAwait(false);
            }

            if (day % 5 == 0)
            {
                double bytes = (double)(LiveBytes() - empty) / accounts.Count;
                rows.Add([$"day {day}", Figures.Whole(bytes), Figures.Whole(accounts.TokenRequests)]);
                bars.Add(new Bar("", $"day {day}", bytes, $"{Figures.Whole(bytes)} B", true));
            }
        }

        page.Text(
            $"""
            A simulated month: each account's token is renewed in the background every day ({Figures.Whole(accounts.Count * Days)} renewals), and each
            account's key is rotated {Rotations} times ({Figures.Whole(accounts.Count * Rotations)} rotations).
            """);
        page.Table(["", "bytes per account", "token requests so far"], rows);
        page.Plot("month", new BarChart($"{Figures.Whole(accounts.Count)} accounts through a month", "live bytes per account", bars));
    }

    private static string BytesPerAccount(long empty, int count) => Figures.Whole((double)(LiveBytes() - empty) / count);

    private static long LiveBytes()
    {
        // Twice: what has a finalizer, or is held by a weak handle, goes with the second.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    /// <summary>An application with many accounts, whose keys can be rotated.</summary>
    private sealed class Accounts : IDisposable
    {
        private readonly FakeSparkfly _sparkfly = new();
        private readonly FakeTimeProvider _time = new();
        private readonly string[] _names;
        private readonly int[] _shuffled;
        private readonly KeyRotation[] _keys;
        private readonly ServiceProvider _services;
        private readonly HttpMessageInvoker _client;

        public Accounts(int count, bool isSourced)
        {
            _names = [.. Enumerable.Range(0, count).Select(static i => $"tenant {i}")];
            _shuffled = [.. Enumerable.Range(0, count)];
            new Random(17).Shuffle(_shuffled);
            _keys = [.. _names.Select(static n => new KeyRotation(n))];

            var services = new ServiceCollection();
            services.AddSingleton<TimeProvider>(_time);
            services.Configure<MemoryCacheOptions>(options => options.Clock = new CacheClock(_time));
            services.AddHttpClient("api").ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api).AddSparkflyAuthHandler(_names[0]);
            if (isSourced)
            {
                services
                    .AddSparkflyAccountSource<TenantSource>()
                    .ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
            }
            else
            {
                Register(services);
            }

            _services = services.BuildServiceProvider();
            _client = new HttpMessageInvoker(_services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("api"), disposeHandler: false);
        }

        public int Count => _names.Length;

        public int TokenRequests => _sparkfly.TokenRequests;

        public async Task SendForEachAsync()
        {
            foreach (string name in _names)
            {
                await SendAsync(name).ConfigureAwait(false);
            }
        }

        /// <summary>Sends requests of this many accounts for this long, and gives the requests a second.</summary>
        public double Rate(int accounts, TimeSpan length)
        {
            long begin = Stopwatch.GetTimestamp();
            int requests = 0;
            TimeSpan elapsed;
            do
            {
                for (int i = 0; i < 1000; i++, requests++)
                {
                    SendAsync(_names[_shuffled[requests % accounts]]).GetAwaiter().GetResult();
                }

                elapsed = Stopwatch.GetElapsedTime(begin);
            }
            while (elapsed < length);

            return requests / elapsed.TotalSeconds;
        }

        /// <summary>Lets time pass, sends one account's request, and waits until no more than this many tokens are in the cache.</summary>
        public async Task SendAfterAsync(TimeSpan time, int tokensLeft)
        {
            _time.Advance(time);
            await SendAsync(_names[0]).ConfigureAwait(false);
            var cache = (MemoryCache)_services.GetRequiredService<IMemoryCache>();
            for (int i = 0; cache.Count > tokensLeft; i++)
            {
                // The cache looks for what is over in the background.
                await Task.Delay(10).ConfigureAwait(false);
                if (i > 1000)
                {
                    throw new InvalidOperationException($"{cache.Count} tokens are in the cache.");
                }
            }
        }

        /// <summary>Rotates the keys of a part of the accounts, goes on to where all tokens are due, and lets them be renewed.</summary>
        public async Task LiveADayAsync(int day, int daysBetweenRotations)
        {
            for (int i = day % daysBetweenRotations; i < _names.Length; i += daysBetweenRotations)
            {
                _keys[i].Rotate();
                await SendAsync(_names[i]).ConfigureAwait(false);
            }

            // Seven minutes before the end of their use all tokens are due, at whichever moment of the refresh window each has drawn.
            int before = _sparkfly.TokenRequests;
            _time.Advance(TimeSpan.FromDays(1) - TimeSpan.FromMinutes(12));
            await SendForEachAsync().ConfigureAwait(false);
            for (int i = 0; _sparkfly.TokenRequests < before + _names.Length; i++)
            {
                // An account whose last token request was only just ending has not begun with the next one.
                await Task.Delay(10).ConfigureAwait(false);
                await SendForEachAsync().ConfigureAwait(false);
                if (i > 1000)
                {
                    throw new InvalidOperationException($"{_sparkfly.TokenRequests - before} of {_names.Length} tokens were renewed.");
                }
            }
        }

        public void Dispose()
        {
            _client.Dispose();
            _services.Dispose();
        }

        private void Register(ServiceCollection services)
        {
            foreach (KeyRotation key in _keys)
            {
                services
                    .AddSparkflyAuth(key.Name, options =>
                    {
                        options.BaseAddress = FakeSparkfly.BaseAddress;
                        options.Identity = key.Name;
                        options.Key = key.Current;
                    })
                    .ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
                services.AddSingleton<IOptionsChangeTokenSource<SparkflyAuthOptions>>(key);
            }
        }

        private async Task SendAsync(string account)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, FakeSparkfly.Offers);
            request.SetSparkflyAccount(account);
            using HttpResponseMessage response = await _client.SendAsync(request, CancellationToken.None).ConfigureAwait(false);
            response.EnsureSuccessStatusCode();
        }
    }

    /// <summary>Knows every tenant.</summary>
    private sealed class TenantSource : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) =>
            new(new SparkflyAuthOptions { BaseAddress = FakeSparkfly.BaseAddress, Identity = name, Key = "key" });
    }

    /// <summary>One account's key, and who is told when it is another one.</summary>
    private sealed class KeyRotation(string name) : IOptionsChangeTokenSource<SparkflyAuthOptions>
    {
        private ConfigurationReloadToken _token = new();
        private int _rotations;

        public string Name => name;

        public string Current => $"key {_rotations}";

        public IChangeToken GetChangeToken() => _token;

        public void Rotate()
        {
            _rotations++;
            Interlocked.Exchange(ref _token, new ConfigurationReloadToken()).OnReload();
        }
    }
}
