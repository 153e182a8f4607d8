using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rules 5.3 and 6.6 for any response to a token request: a token or a reason comes of it, in bounded time, from a bounded part of its body, and no message
/// holds a secret.
/// </summary>
/// <remarks>
/// <c>SPARKFLY_FUZZ_INPUTS</c> makes the long test longer, <c>SPARKFLY_FUZZ_SEED</c> changes its inputs, <c>SPARKFLY_FUZZ_INPUT</c> runs a single one.
/// </remarks>
[NonParallelizable]
public class FuzzTests
{
    private const int Short = 4_000;
    private const int Long = 50_000;

    [TestCase(Short)]
    [TestCase(Long, Category = "Long")]
    public async Task Any_response_to_a_token_request_gives_a_token_or_a_reason_and_no_message_holds_a_secret(int inputs)
    {
        var run = new FuzzRun(inputs == Long ? FuzzRun.Setting("SPARKFLY_FUZZ_INPUTS") ?? Long : inputs);
        var ends = new ConcurrentDictionary<string, int>();
        await run.ForEachAsync(
            worker => new Responses(run.Seed, worker),
            async (responses, input) => ends.AddOrUpdate(await responses.CheckAsync(input), 1, static (_, count) => count + 1));

        run.Passes(string.Join(", ", ends.OrderBy(static e => e.Key, StringComparer.Ordinal).Select(static e => $"{e.Key} {e.Value}")));
        Assert.That(run.IsSingle || (ends.ContainsKey("token") && ends.Count > 5), Is.True, "the inputs reach the cases");
    }

    /// <summary>One worker's account, and the network in its place.</summary>
    private sealed class Responses : IFuzzed
    {
        // Their characters need an escape in one encoding or the other.
        private const string Identity = "account+<17>&'zqj'-6f8a3b";
        private const string Key = "K/e%y=\"b3d9\\1c7a&f4+e8~0z-5d2c9e";
        private const int MostPosts = 4;
        private const int MostRead = 20_000;
        private const int LongestMessage = 2_000;

        private static readonly string s_replaced = $"5eed{new string('7', 20)}{Guid.Empty:N}a1b2c3d4";
        private static readonly SecretFinder s_finder = new(Identity, Key, s_replaced);
        private static readonly SecretFinder s_finderOfCredentials = new(Identity, Key);

        private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        private readonly ConcurrentQueue<string> _seen = new();
        private readonly ServiceProvider _quiet;
        private readonly ServiceProvider _loud;
        private readonly int _seed;

        private SecretFinder _finder = s_finder;
        private HostileReply _reply = null!;
        private long _input;
        private int _posts;
        private string? _expected;
        private int? _status;
        private CountedBody? _body;

        public Responses(int seed, int worker)
        {
            _ = worker;
            _seed = seed;
            _quiet = Services(LogLevel.Information);
            _loud = Services(LogLevel.Trace);
        }

        public async ValueTask DisposeAsync()
        {
            await _quiet.DisposeAsync();
            await _loud.DisposeAsync();
        }

        public string Describe(long input) => new HostileReplies(_seed, input, [Identity, Key, s_replaced]).Next().ToString();

        /// <summary>Runs one input. What it ends with.</summary>
        public async Task<string> CheckAsync(long input)
        {
            _input = input;
            _reply = new HostileReplies(_seed, input, [Identity, Key, s_replaced]).Next();
            (_posts, _expected, _status, _body) = (0, null, null, null);
            _seen.Clear();

            // A part of a token that the application no longer has is any text.
            _finder = input % 40 == 0 ? s_finderOfCredentials : s_finder;
            ServiceProvider services = input % 8 == 0 ? _loud : _quiet;
            string end = input % 40 == 0 ? await AskAsApplicationAsync(services) : await AskAsync(services);
            Require(_posts is > 0 and <= MostPosts, $"{_posts} POSTs");
            Require(_body is null || _body.Taken <= MostRead, $"{_body?.Taken} bytes of the body were read");
            foreach (string seen in _seen)
            {
                ShowsNoSecret(seen);
            }

            // Past each backoff, and past the token's life.
            _time.Advance(TimeSpan.FromHours(2));
            return end;
        }

        private static void Require(bool isTrue, string problem)
        {
            if (!isTrue)
            {
                throw new AssertionException(problem);
            }
        }

        private void ShowsNoSecret(string text)
        {
            if (_finder.In(text) is { } found)
            {
                throw new AssertionException($"{found} is in: {text}");
            }
        }

        private static void IsProper(string message)
        {
            Require(message.Length <= LongestMessage, $"a message of {message.Length} characters");
            bool isLine = !message.Any(static c => char.IsControl(c) || c is '\u2028' or '\u2029' or '\u202e');
            bool isText = !message.EnumerateRunes().Contains(Rune.ReplacementChar) || message.Contains('\ufffd');
            Require(isLine && isText, isLine && isText ? "" : $"a message that is no line of text: {HostileReply.Printable(message)}");
        }

        private async Task<string> AskAsync(ServiceProvider services)
        {
            var source = new SparkflyAuthClient(
                SparkflyAuthClient.ClientName(""),
                services.GetRequiredService<IHttpClientFactory>(),
                services.GetRequiredService<AuthEndpoints>(),
                services.GetRequiredService<SparkflyMetrics>(),
                _time);
            AccountSettings settings = services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings;
            var replaced = new SparkflyToken(s_replaced, _time.GetUtcNow(), _time.GetUtcNow());

            TokenResponse response = await source.ObtainAsync(new TokenRequest(settings, replaced), CancellationToken.None);

            Require(response.Token?.Value == _expected, $"the token is {(response.Token is null ? "none" : "another")}");
            if (response.Failure is not { } failure)
            {
                Require(response.Token is not null, "neither a token nor a reason");
                return "token";
            }

            IsProper(failure.Message);
            ShowsNoSecret($"{failure.Message} {failure.Cause}");
            Require((int?)failure.Status == _status, $"the status is {failure.Status}");
            Require(failure.Status is null || failure.IsTransient == (_status is 408 or 429 or >= 500 and not 501 and not 505), $"transient: {failure.IsTransient}");
            return failure.Status is { } status ? $"{(int)status / 100}xx" : failure.Cause?.GetType().Name ?? "no response";
        }

        private async Task<string> AskAsApplicationAsync(ServiceProvider services)
        {
            try
            {
                SparkflyToken token = await services.GetRequiredService<ISparkflyTokenProvider>().GetTokenAsync();
                Require(token.Value == _expected, "the token is another");
                ShowsNoSecret(token.ToString()!);
                return "token";
            }
            catch (SparkflyAuthenticationException exception)
            {
                Require(_expected is null, "there was a token");
                ShowsNoSecret(exception.ToString());
                IsProper(exception.Message);
                Require(
                    exception.RetryAt >= _time.GetUtcNow() && exception.RetryAt <= _time.GetUtcNow() + TimeSpan.FromMinutes(15), $"the next token request is at {exception.RetryAt}");
                Require((int?)exception.AuthStatusCode == _status, $"the status is {exception.AuthStatusCode}");
                return exception.AuthStatusCode is { } status ? $"{(int)status / 100}xx" : exception.InnerException?.GetType().Name ?? "no response";
            }
        }

        private ServiceProvider Services(LogLevel level)
        {
            var services = new ServiceCollection();
            services.AddSingleton<TimeProvider>(_time);
            services.AddLogging(logging => logging.SetMinimumLevel(level).AddProvider(new SecretSweep.Provider(_seen.Enqueue)));
            services.AddSparkflyAuth(static options =>
            {
                options.BaseAddress = new Uri("https://sparkfly.test/v1.0");
                (options.Identity, options.Key, options.TokenLifetime) = (Identity, Key, TimeSpan.FromHours(1));
            }).ConfigureAuthClient(client =>
            {
                client.RedactLoggedHeaders(static _ => false).ConfigurePrimaryHttpMessageHandler(() => new ScriptedPrimaryHandler(AnswerAsync));
                if (level > LogLevel.Trace)
                {
                    client.RemoveAllLoggers();
                }
            });
            return services.BuildServiceProvider();
        }

        private async Task<HttpResponseMessage> AnswerAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            _posts++;
            Random random = HostileReplies.RandomOf(_seed, _input);
            if (_reply.End == ReplyEnd.None)
            {
                if (random.Next(8) == 0)
                {
                    _time.Advance(TimeSpan.FromMinutes(1));
                    await Task.Delay(Timeout.Infinite, cancellationToken);
                }

                throw Exception(random);
            }

            var response = new HttpResponseMessage((HttpStatusCode)_reply.Status) { RequestMessage = request };
            try
            {
                response.ReasonPhrase = _reply.Reason;
            }
            catch (FormatException)
            {
                // Of more than a line, which no network gives.
            }

            _body = new CountedBody(_reply, () => _time.Advance(TimeSpan.FromMinutes(1)));
            response.Content = _reply.Body.Length == 0 && _reply.End == ReplyEnd.Whole ? new ByteArrayContent([]) : new StreamContent(_body, 1);
            foreach ((string name, string value) in _reply.Headers)
            {
                _ = response.Headers.TryAddWithoutValidation(name, value) || response.Content.Headers.TryAddWithoutValidation(name, value);
            }

            _status = _reply.Status;
            string[] tokens = !response.Headers.NonValidated.TryGetValues("X-Auth-Token", out var values) ? []
                : [.. values.SelectMany(static v => v.Split(',')).Select(static v => v.Trim()).Where(static v => v.Length > 0)];
            _expected = response.IsSuccessStatusCode && tokens is [var token] && token.All(static c => c is >= '!' and <= '~') ? token : null;
            return response;
        }

        private Exception Exception(Random random)
        {
            // What the application's own primary handler throws, the factory logs. Of the network's exceptions, one may repeat a response.
            int kind = random.Next(8);
            string text = kind != 6 && _input % 8 == 0 ? "The network is down." : $"{_reply.Reason} {string.Join(' ', _reply.Headers)}";
            return kind switch
            {
                0 => new HttpRequestException(text),
                1 => new HttpRequestException((HttpRequestError)random.Next(15), text, new IOException(text, new SocketException((int)SocketError.ConnectionReset))),
                2 => new HttpIOException(HttpRequestError.ResponseEnded, text),
                3 => new OperationCanceledException(text),
                4 => new InvalidOperationException(text, new FormatException(text)),
                5 => new AggregateException(text, new SocketException((int)SocketError.ConnectionRefused), new TimeoutException(text)),
                6 => new HttpRequestException(HttpRequestError.InvalidResponse, text),
                _ => new NotSupportedException(text),
            };
        }
    }

    /// <summary>A body that counts what is read of it.</summary>
    private sealed class CountedBody(HostileReply reply, Action silent) : ReadOnlyStream
    {
        private int _at;

        public long Taken { get; private set; }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int count = Math.Min(buffer.Length, reply.Body.Length - _at);
            if (count > 0)
            {
                reply.Body.AsMemory(_at, count).CopyTo(buffer);
                _at += count;
            }
            else if (buffer.Length > 0)
            {
                switch (reply.End)
                {
                    case ReplyEnd.Broken:
                        throw new HttpIOException(HttpRequestError.ResponseEnded, reply.Reason);
                    case ReplyEnd.Silent:
                        silent();
                        await Task.Delay(Timeout.Infinite, cancellationToken);
                        break;
                    case ReplyEnd.Endless when Taken < 10_000_000:
                        count = buffer.Length;
                        buffer.Span.Fill((byte)' ');
                        break;
                }
            }

            Taken += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}

/// <summary>What one worker of a <see cref="FuzzRun"/> runs inputs with.</summary>
internal interface IFuzzed : IAsyncDisposable
{
    /// <summary>The input as text.</summary>
    string Describe(long input);
}

/// <summary>Runs inputs by their numbers, on a few workers, and says how to repeat one that fails.</summary>
internal sealed class FuzzRun(int inputs)
{
    private const int MostProblems = 5;

    private static readonly TimeSpan s_longest = TestApp.Patience;

    private readonly ConcurrentQueue<string> _problems = new();
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly TimeSpan _processorBefore = Process.GetCurrentProcess().TotalProcessorTime;
    private readonly int? _single = Setting("SPARKFLY_FUZZ_INPUT");
    private long _slowest;
    private long _slowestInput;
    private long _heapBefore;
    private long _heapAfter;
    private int _ran;

    public int Seed { get; } = Setting("SPARKFLY_FUZZ_SEED") ?? 1;

    public bool IsSingle => _single is not null;

    public static int? Setting(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;

    /// <summary>Each input once. What the check throws is a problem of the input.</summary>
    /// <param name="newWorker">Makes a worker, by its number.</param>
    /// <param name="check">Checks one input.</param>
    /// <param name="workersPerProcessor">More than one where an input waits for the network most of its time.</param>
    public async Task ForEachAsync<T>(Func<int, T> newWorker, Func<T, long, Task> check, int workersPerProcessor = 1)
        where T : IFuzzed
    {
        int workers = IsSingle ? 1 : Math.Clamp(Environment.ProcessorCount, 1, 4) * workersPerProcessor;
        T[] all = [.. Enumerable.Range(0, workers).Select(newWorker)];
        try
        {
            await Task.WhenAll(all.Select((worker, number) => Task.Run(() => WorkAsync(worker, number, 0, inputs / 4))));
            _heapBefore = GC.GetTotalMemory(forceFullCollection: true);
            await Task.WhenAll(all.Select((worker, number) => Task.Run(() => WorkAsync(worker, number, inputs / 4, inputs))));
            _heapAfter = GC.GetTotalMemory(forceFullCollection: true);
        }
        finally
        {
            foreach (T worker in all)
            {
                await worker.DisposeAsync();
            }
        }

        async Task WorkAsync(T worker, int number, int from, int to)
        {
            // What the inputs cause is looked at here, and is too much to be kept to the end of all tests.
            using IDisposable deaf = SecretSweep.ListenToNothing();
            if (_single is { } single)
            {
                await RunAsync(worker, single, check);
                return;
            }

            for (long input = from + ((number - from % workers + workers) % workers); input < to && _problems.Count < MostProblems; input += workers)
            {
                await RunAsync(worker, input, check);
            }
        }
    }

    public void Passes(string summary)
    {
        TimeSpan processor = Process.GetCurrentProcess().TotalProcessorTime - _processorBefore;
        summary = $"seed {Seed}, {_ran} inputs, {_watch.Elapsed.TotalSeconds:F1} s, {processor.TotalSeconds:F1} s of processor time, slowest {new TimeSpan(_slowest).TotalMilliseconds:F0} ms ({_slowestInput}), " +
            $"heap {_heapBefore >> 10} to {_heapAfter >> 10} KiB; {summary}";
        TestContext.Out.WriteLine(summary);
        Assert.That(_problems.Take(MostProblems), Is.Empty, summary);
        Assert.That(new TimeSpan(_slowest), Is.LessThan(s_longest), summary);
        Assert.That(_heapAfter, Is.LessThan(_heapBefore + (16 << 20)), $"the heap grows: {summary}");
        Assert.That(_ran, Is.EqualTo(IsSingle ? 2 : inputs), summary);
    }

    private async Task RunAsync<T>(T worker, long input, Func<T, long, Task> check)
        where T : IFuzzed
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            await check(worker, input).WaitAsync(s_longest);
        }
        catch (Exception exception)
        {
            _problems.Enqueue(
                $"SPARKFLY_FUZZ_SEED={Seed} SPARKFLY_FUZZ_INPUT={input}: " +
                $"{HostileReply.Printable(exception is AssertionException ? exception.Message : exception.ToString())}\n{worker.Describe(input)}");
        }

        long took = Stopwatch.GetElapsedTime(start).Ticks;
        lock (_problems)
        {
            _ran++;
            if (took > _slowest)
            {
                (_slowest, _slowestInput) = (took, input);
            }
        }
    }
}
