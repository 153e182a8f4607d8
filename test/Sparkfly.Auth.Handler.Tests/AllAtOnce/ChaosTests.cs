using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// All of it at once: two accounts, sixteen workers, an /auth that is slow and fails, connections that break, tokens that are revoked and
/// expire, endpoints that refuse every token, and a handler above ours that sends copies.
/// </summary>
/// <remarks>
/// <c>SPARKFLY_CHAOS_REQUESTS</c> makes it longer, <c>SPARKFLY_CHAOS_SEED</c> replays what a seed does (the threads' order aside).
/// </remarks>
[Category("Long")]
public class ChaosTests
{
    private const int Workers = 16;

    [Test]
    public async Task Every_request_ends_with_an_answer_of_its_own_or_a_clear_exception_and_the_token_requests_stay_within_their_bound()
    {
        int requests = Setting("SPARKFLY_CHAOS_REQUESTS") ?? 200_000;
        int seed = Setting("SPARKFLY_CHAOS_SEED") ?? Environment.TickCount & int.MaxValue;
        await using var chaos = new Chaos(seed);
        var watch = Stopwatch.StartNew();
        await TestContext.Out.WriteLineAsync($"SPARKFLY_CHAOS_SEED={seed}");

        Task[] workers = [.. Enumerable.Range(0, Workers).Select(worker => Task.Run(() => chaos.WorkAsync(worker, requests / Workers)))];
        await Task.WhenAll(workers).WaitAsync(TimeSpan.FromMinutes(2) + TimeSpan.FromMilliseconds(requests));

        string summary = $"seed {seed}, {watch.Elapsed.TotalSeconds:F1} s, {chaos.Summary()}";
        await TestContext.Out.WriteLineAsync(summary);
        Assert.That(chaos.Problems.Take(10), Is.Empty, summary);
        Assert.That(chaos.Ended, Is.EqualTo(requests / Workers * Workers), summary);
        Assert.That(chaos.OverBound(), Is.Empty, summary);
        Assert.That(chaos.HadEverything, Is.True, $"something was never injected: {summary}");
    }

    private static int? Setting(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;

    private sealed class Chaos : IAsyncDisposable
    {
        private static readonly TimeSpan s_usableLife = TimeSpan.FromMinutes(10);
        private static readonly TimeSpan s_refreshAhead = TimeSpan.FromMinutes(1);
        private static readonly TimeSpan s_refreshInterval = TimeSpan.FromMinutes(2);

        private static readonly string[] s_everything =
        [
            "plain", "slow", "reset", "error", "refuse", "revocations", "200", "401", "500", "connection lost", "without a token", "cancelled",
            "copied", "copied, account and all lost",
        ];

        private readonly int _seed;
        private readonly TestApp _app;
        private readonly DateTimeOffset _start;
        private readonly Account[] _accounts = [new(""), new("other")];
        private readonly ConcurrentDictionary<string, int> _counts = new();
        private readonly ConcurrentDictionary<string, Sent> _sent = new();
        private int _ended;

        public Chaos(int seed)
        {
            _seed = seed;
            foreach (Account account in _accounts)
            {
                account.Sparkfly.Settings["TokenLifetime"] = $"{s_usableLife + TimeSpan.FromMinutes(5)}";
                account.Sparkfly.Settings["RefreshAhead"] = $"{s_refreshAhead}";
                account.Sparkfly.Settings["UnauthorizedRefreshInterval"] = $"{s_refreshInterval}";
                account.Sparkfly.Settings["AuthTimeout"] = "1.00:00:00";
                var random = new Random(seed + account.Name.Length);
                account.Sparkfly.OnTokenRequest = (_, _) => AnswerTokenRequestAsync(account, random);
                account.Sparkfly.OnApiRequest = AnswerAsync;
            }

            _app = _accounts[0].Sparkfly.App(
                register: services =>
                {
                    _accounts[1].Sparkfly.AddAccount(services, "other");
                    services.AddHttpClient("other").AddSparkflyAuthHandler("other").RemoveAllLoggers().AddHttpMessageHandler(NewHandlerAbove)
                        .ConfigurePrimaryHttpMessageHandler(() => _accounts[1].Sparkfly.Api);
                },
                client: client => client.RemoveAllLoggers().AddHttpMessageHandler(NewHandlerAbove),
                isQuiet: true);
            _start = Now;
        }

        public ConcurrentQueue<string> Problems { get; } = new();

        public int Ended => _ended;

        public bool HadEverything => Array.TrueForAll(s_everything, _counts.ContainsKey) &&
            Array.TrueForAll(_accounts, static a => a is { Obtained: > 1, Failed: > 0 });

        private DateTimeOffset Now => _app.Time.GetUtcNow();

        public async Task WorkAsync(int worker, int requests)
        {
            var random = new Random((_seed * 31) + worker);
            HttpClient[] clients = [_app.Client("api"), _app.Client("other")];
            for (int i = 0; i < requests; i++)
            {
                Account account = _accounts[random.Next(2)];
                if (random.Next(50) == 0)
                {
                    _app.Time.Advance(TimeSpan.FromSeconds(random.Next(1, 20)));
                }

                if (random.Next(4000) == 0)
                {
                    Count("revocations");
                    account.Sparkfly.Revoke();
                }

                string kind = random.Next(100) switch { 0 => "refuse", 1 => "reset", 2 => "error", < 12 => "slow", _ => "plain" };
                bool isCancelled = random.Next(100) == 0;

                // The default account's client can send for the other account too.
                bool isByName = account.Name.Length > 0 && random.Next(2) == 0;
                await SendAsync(clients[account.Name.Length > 0 && !isByName ? 1 : 0], account, $"{worker}-{i}", kind, isByName, isCancelled);
                Interlocked.Increment(ref _ended);
            }
        }

        public string Summary() =>
            $"{Now - _start} on the clock; {string.Join(", ", _counts.OrderBy(static c => c.Key).Select(static c => $"{c.Key} {c.Value}"))}; " +
            string.Join("; ", _accounts.Select(a => $"account '{a.Name}': {a.Obtained} tokens (bound {Bound()}), {a.Failed} failures injected"));

        /// <summary>What is wrong with the number of token requests.</summary>
        public IEnumerable<string> OverBound()
        {
            foreach (Account account in _accounts)
            {
                if (account.Obtained > Bound())
                {
                    yield return $"account '{account.Name}' obtained {account.Obtained} tokens, where {Bound()} are the bound";
                }

                if (account.Sparkfly.TokenRequests.Value != account.Obtained + account.Failed)
                {
                    yield return $"account '{account.Name}' made {account.Sparkfly.TokenRequests} token requests, not {account.Obtained} + {account.Failed}";
                }

                if (account.MostInFlight > 1)
                {
                    yield return $"account '{account.Name}' had {account.MostInFlight} token requests in flight at once";
                }
            }
        }

        public ValueTask DisposeAsync() => _app.DisposeAsync();

        // The first; one for each life of a token, down to the refresh window; one for each interval in which a 401 may force it.
        private int Bound() => 3 + (int)((Now - _start) / (s_usableLife - s_refreshAhead)) + (int)((Now - _start) / s_refreshInterval);

        private async Task SendAsync(HttpClient client, Account account, string id, string kind, bool isByName, bool isCancelled)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{kind}?{id}") { Content = new StringContent(id) };
            _sent[id] = new Sent(account, Now, Volatile.Read(ref account.NewestInUse));
            if (isByName)
            {
                request.SetSparkflyAccount(account.Name);
            }

            using var cancellation = new CancellationTokenSource();
            try
            {
                Task<HttpResponseMessage> sending = client.SendAsync(request, cancellation.Token);
                if (isCancelled)
                {
                    await Task.Yield();
                    await cancellation.CancelAsync();
                }

                using HttpResponseMessage response = await sending;
                string answered = await response.Content.ReadAsStringAsync(CancellationToken.None);
                Count($"{(int)response.StatusCode}");
                Check(answered == id, $"request {id} got the answer of {answered}");
                Check(InMemorySparkfly.TokenOf(request) is null, $"request {id} came back with its token");
            }
            catch (SparkflyAuthenticationException exception)
            {
                Count("without a token");
                Check(exception.RetryAt is not null && exception.Message.Contains("/auth", StringComparison.Ordinal), $"unclear: {exception}");
            }
            catch (HttpRequestException exception) when (exception.Message == $"reset {id}")
            {
                Count("connection lost");
            }
            catch (OperationCanceledException) when (isCancelled)
            {
                Count("cancelled");
            }
            catch (Exception exception)
            {
                Problems.Enqueue($"request {id} ({kind}): {exception}");
            }
            finally
            {
                _sent.TryRemove(id, out _);
            }
        }

        // Added after ours, and above it all the same. Now and then it sends a copy without the options, which name the account.
        private InlineHandler NewHandlerAbove() => new(async (request, send) =>
        {
            HttpRequestMessage sent = request;
            if (request.RequestUri!.Query[^1] is '7' or '8')
            {
                Count(request.Options.Any() ? "copied, account and all lost" : "copied");
                sent = new HttpRequestMessage(request.Method, request.RequestUri) { Content = request.Content };
            }

            Check(InMemorySparkfly.TokenOf(sent) is null, "a handler above has seen a token before the request was sent");
            try
            {
                return await send(sent);
            }
            finally
            {
                Check(InMemorySparkfly.TokenOf(sent) is null, "a handler above has seen a token after the request was sent");
            }
        });

        private async Task<HttpResponseMessage?> AnswerAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            string kind = request.RequestUri!.Segments[^1];
            string id = request.RequestUri.Query[1..];
            if (!_sent.TryGetValue(id, out Sent? sent))
            {
                // Its caller has cancelled it, and gone.
                throw new OperationCanceledException();
            }

            string token = InMemorySparkfly.TokenOf(request) ?? "(none)";
            Account account = sent.Account;
            if (account.Issued.TryGetValue(token, out (int Number, DateTimeOffset At) issued))
            {
                // What was true when the caller sent it; what happens on its way is nobody's fault.
                Check(issued.At + s_usableLife > sent.At, $"request {id} of {sent.At:T} left with a token of {issued.At:T}");
                Check(issued.Number >= sent.NewestInUse, $"request {id} left with token {issued.Number} when {sent.NewestInUse} was in use already");
                InterlockedMax(ref account.NewestInUse, issued.Number);
            }
            else
            {
                Problems.Enqueue($"request {id} of account '{account.Name}' left with a token that is not its account's");
            }

            Count(kind);
            if (kind == "slow")
            {
                await Task.Yield();
                await Task.Yield();
            }

            if (kind == "reset")
            {
                throw new HttpRequestException(HttpRequestError.ConnectionError, $"reset {id}");
            }

            HttpStatusCode status = kind == "refuse" || !account.Sparkfly.IsGood(token) ? HttpStatusCode.Unauthorized
                : kind == "error" ? HttpStatusCode.InternalServerError
                : HttpStatusCode.OK;
            return new HttpResponseMessage(status) { Content = new StringContent(await request.Content!.ReadAsStringAsync(cancellationToken)) };
        }

        private async Task<HttpResponseMessage?> AnswerTokenRequestAsync(Account account, Random random)
        {
            int what, yields;
            lock (random)
            {
                (what, yields) = (random.Next(100), random.Next(30));
                account.MostInFlight = Math.Max(account.MostInFlight, ++account.InFlight);
            }

            DateTimeOffset at = Now;
            for (int i = 0; i < yields; i++)
            {
                await Task.Yield();
            }

            lock (random)
            {
                account.InFlight--;
                if (what < 15 || Now >= at + s_usableLife)
                {
                    account.Failed++;
                    return what < 5 ? InMemorySparkfly.Status(HttpStatusCode.ServiceUnavailable, "7")
                        : what < 6 ? InMemorySparkfly.Status(HttpStatusCode.Unauthorized)
                        : what < 10 ? throw new HttpRequestException(HttpRequestError.ConnectionError, "reset")
                        : InMemorySparkfly.Status(HttpStatusCode.BadGateway);
                }

                HttpResponseMessage answer = account.Sparkfly.Token();
                account.Issued[answer.Headers.GetValues("X-Auth-Token").Single()] = (++account.Obtained, at);
                return answer;
            }
        }

        private void Count(string what) => _counts.AddOrUpdate(what, 1, static (_, count) => count + 1);

        private void Check(bool condition, string otherwise)
        {
            if (!condition)
            {
                Problems.Enqueue(otherwise);
            }
        }

        private static void InterlockedMax(ref int target, int value)
        {
            for (int seen = Volatile.Read(ref target); seen < value;)
            {
                int before = Interlocked.CompareExchange(ref target, value, seen);
                seen = before == seen ? value : before;
            }
        }

        private sealed record Sent(Account Account, DateTimeOffset At, int NewestInUse);

        private sealed class Account(string name)
        {
            public int NewestInUse;

            public string Name => name;

            public InMemorySparkfly Sparkfly { get; } = new();

            public ConcurrentDictionary<string, (int Number, DateTimeOffset At)> Issued { get; } = new();

            public int Obtained { get; set; }

            public int Failed { get; set; }

            public int InFlight { get; set; }

            public int MostInFlight { get; set; }
        }
    }
}
