using System.Collections.Concurrent;
using System.Net;
using CsCheck;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Sections 3 to 5 at once, over the token provider alone: random sequences against a model, and random sequences of many threads against
/// what must hold in any order. A failure prints its seed; the environment variable <c>CsCheck_Seed</c> replays it.
/// </summary>
[Category("Long")]
public class TokenModelTests
{
    // Multiples of one step of the clock, so that a renewal ahead is due before or after a step, whatever moment its token drew.
    private static readonly TimeSpan s_step = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_usableLife = 12 * s_step;
    private static readonly TimeSpan s_refreshAhead = 2 * s_step;
    private static readonly TimeSpan s_refreshInterval = 4 * s_step;
    private static readonly TimeSpan s_minBackoff = s_step;
    private static readonly TimeSpan s_maxBackoff = 4 * s_step;

    // As often as they stand here.
    private static readonly Do[] s_mix =
    [
        Do.Get, Do.Get, Do.Get, Do.Get, Do.Renew, Do.Renew, Do.Renew, Do.RenewOld, Do.RenewForeign, Do.Advance, Do.Advance, Do.Advance,
        Do.ChangeKey, Do.ReloadOther, Do.Succeed, Do.Succeed, Do.Succeed, Do.Fail, Do.Fail, Do.Reject, Do.Cancel,
    ];

    private static readonly Gen<(Do What, int Number)[]> s_sequences =
        Gen.Select(Gen.Int[0, s_mix.Length - 1].Select(static i => s_mix[i]), Gen.Int[0, 99]).Array[1, 60];

    private readonly InMemorySparkfly _sparkfly = new();

    private enum Do
    {
        Get,
        Renew,
        RenewOld,
        RenewForeign,
        Advance,
        ChangeKey,
        ReloadOther,
        Succeed,
        Fail,
        Reject,
        Cancel,
    }

    [Test]
    public Task Any_sequence_of_calls_answers_and_clock_steps_does_what_the_model_says() => s_sequences.SampleAsync(
        async steps =>
        {
            await using var run = new Run(_sparkfly);
            foreach ((Do what, int number) in steps)
            {
                await run.StepAsync(what, number);
            }
        },
        iter: 1500,
        threads: 1,
        writeLine: TestContext.Out.WriteLine);

    [Test]
    public Task Whatever_many_threads_do_at_once_the_invariants_hold() => s_sequences.Array[2, 8].SampleAsync(
        async threads =>
        {
            await using var run = new ParallelRun(_sparkfly);
            await Task.WhenAll(threads.Select(steps => Task.Run(() => run.ThreadAsync(steps)))).WaitAsync(TestApp.Patience);
            run.CheckCounts();
        },
        iter: 300,
        threads: 1,
        writeLine: TestContext.Out.WriteLine);

    private static TestApp App(InMemorySparkfly sparkfly, Action<IServiceCollection>? register = null) => sparkfly.App(
        static options =>
        {
            options.AuthTimeout = TimeSpan.FromDays(1);
            options.ExpirationMargin = TimeSpan.FromMinutes(1);
            options.TokenLifetime = s_usableLife + options.ExpirationMargin;
            options.RefreshAhead = s_refreshAhead;
            options.UnauthorizedRefreshInterval = s_refreshInterval;
            options.MinFailureBackoff = s_minBackoff;
            options.MaxFailureBackoff = s_maxBackoff;
        },
        register);

    // Not NUnit's: those would be remembered as failures of the test while a failing sequence is being shortened.
    private static void Expect(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw new InvalidOperationException(otherwise);
        }
    }

    // Of its own for each run: a token request of the run before, which nobody waited for any more, may come late.
    private static string NewKeyPrefix(InMemorySparkfly sparkfly) => $"{sparkfly.Settings["Key"]!.Split('.')[0]}.{Guid.NewGuid():N}.";

    private static string KeyOf(HttpRequestMessage request) => request.Headers.NonValidated["X-Auth-Key"].ToString();

    private static SparkflyToken Foreign(DateTimeOffset now) => new("somebody-elses", now.AddDays(-1), now);

    /// <summary>What an account does next, in the contract's words. Knows nothing of how the package does it.</summary>
    private sealed class Model
    {
        public const string Waits = "waits";
        public const string Fails = "fails";

        private SparkflyToken? _held;
        private bool _isRejected;
        private bool _hasOutlivedRenewal;
        private bool _isForced;
        private DateTimeOffset? _forcedAt;
        private DateTimeOffset _backoffEnds;
        private int _failures;
        private bool _wasGood;

        public SparkflyToken? Held => _held;

        public bool IsAsking { get; private set; }

        public string Get(DateTimeOffset now)
        {
            if (_held is null || _isRejected || now >= _held.ExpiresAt)
            {
                return WaitOrFail(now);
            }

            IsAsking |= now > _held.ExpiresAt - s_refreshAhead && now >= _backoffEnds;
            return _held.Value;
        }

        public string Renew(SparkflyToken rejected, DateTimeOffset now)
        {
            if (_held is not null && !_isRejected && now < _held.ExpiresAt &&
                (_held.Value != rejected.Value || (!IsAsking && _forcedAt + s_refreshInterval > now)))
            {
                return _held.Value;
            }

            string outcome = WaitOrFail(now);
            _isForced |= outcome == Waits;
            _isRejected |= outcome == Waits && _held?.Value == rejected.Value && !_hasOutlivedRenewal;
            return outcome;
        }

        public void Succeed(SparkflyToken token, DateTimeOffset now)
        {
            (_held, _hasOutlivedRenewal, _failures, _backoffEnds) = (token, false, 0, now);
            _forcedAt = _isForced ? now : _forcedAt;
            (IsAsking, _isForced, _isRejected) = (false, false, false);
        }

        public void Fail(bool isRejection, DateTimeOffset now)
        {
            // A forced renewal that failed while the token was good begins a row of its own, and is forgotten when nobody forces another one.
            _failures = _wasGood && now >= _backoffEnds + s_maxBackoff ? 0 : _failures;
            _wasGood = _held is not null && now <= _held.ExpiresAt - s_refreshAhead;
            TimeSpan doubled = s_minBackoff * Math.Pow(2, _failures++);
            _backoffEnds = now + (isRejection || doubled > s_maxBackoff ? s_maxBackoff : doubled);
            _hasOutlivedRenewal |= _isRejected;
            (IsAsking, _isForced, _isRejected) = (false, false, false);
        }

        private string WaitOrFail(DateTimeOffset now)
        {
            IsAsking |= now >= _backoffEnds;
            return IsAsking ? Waits : Fails;
        }
    }

    /// <summary>One sequence: every step is done to the provider and to the model, and must come to the same.</summary>
    private sealed class Run : IAsyncDisposable
    {
        private readonly InMemorySparkfly _sparkfly;
        private readonly TestApp _app;
        private readonly Counter _posts = new();
        private readonly Counter _outcomes = new();
        private readonly ConcurrentQueue<Post> _arrived = new();
        private readonly List<Post> _open = [];
        private readonly List<(Task<SparkflyToken> Call, CancellationTokenSource Cancellation)> _waiting = [];
        private readonly List<SparkflyToken> _known = [];
        private readonly string _keyPrefix;
        private Model _model = new();
        private string _key;
        private int _keys;
        private int _expectedPosts;
        private int _expectedOutcomes;

        public Run(InMemorySparkfly sparkfly)
        {
            _sparkfly = sparkfly;
            _keyPrefix = NewKeyPrefix(sparkfly);
            _key = ChangeKey();
            sparkfly.OnTokenRequest = (request, cancellationToken) =>
            {
                if (!KeyOf(request).StartsWith(_keyPrefix, StringComparison.Ordinal))
                {
                    return Task.FromResult<HttpResponseMessage?>(null);
                }

                var post = new Post(KeyOf(request), _app!.Time.GetUtcNow());
                _arrived.Enqueue(post);
                _posts.Increment();
                return post.Answer.Task.WaitAsync(cancellationToken);
            };
            _app = App(sparkfly, services => services.AddLogging(logging => logging
                .AddFilter<SecretSweep.Provider>(static _ => false)
                .AddProvider(new Outcomes(_outcomes))));
        }

        private DateTimeOffset Now => _app.Time.GetUtcNow();

        public async Task StepAsync(Do what, int number)
        {
            switch (what)
            {
                case Do.Get:
                    await CallAsync(_model.Get(Now), static (tokens, c) => tokens.GetTokenAsync(c));
                    break;
                case Do.Renew:
                    await RenewAsync(_model.Held ?? Foreign(Now));
                    break;
                case Do.RenewOld:
                    await RenewAsync(_known.Count == 0 ? Foreign(Now) : _known[number % _known.Count]);
                    break;
                case Do.RenewForeign:
                    await RenewAsync(Foreign(Now));
                    break;
                case Do.Advance:
                    _app.Time.Advance(s_step * (1 + (number % 8)));
                    break;
                case Do.ChangeKey when _waiting.Count == 0:
                    _key = ChangeKey();
                    _model = new Model();
                    break;
                case Do.ReloadOther:
                    _sparkfly.Reload("Unrelated", $"{number}");
                    break;
                case Do.Succeed or Do.Fail or Do.Reject when _open.Count > 0:
                    await AnswerAsync(_open[number % _open.Count], what);
                    break;
                case Do.Cancel when _waiting.Count > 0:
                    await CancelAsync(number % _waiting.Count);
                    break;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _app.DisposeAsync();
            foreach ((Task<SparkflyToken> call, CancellationTokenSource cancellation) in _waiting)
            {
                await ((Task)call).WaitAsync(TestApp.Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                Expect(call.Exception?.InnerException is ObjectDisposedException, $"a caller left over ended {call.Status}");
                cancellation.Dispose();
            }
        }

        private Task RenewAsync(SparkflyToken rejected) =>
            CallAsync(_model.Renew(rejected, Now), (tokens, c) => tokens.RenewTokenAsync(rejected, c));

        private async Task CallAsync(string expected, Func<ISparkflyTokenProvider, CancellationToken, ValueTask<SparkflyToken>> call)
        {
            var cancellation = new CancellationTokenSource();
            Task<SparkflyToken> calling = call(_app.Tokens, cancellation.Token).AsTask();
            string actual = !calling.IsCompleted ? Model.Waits
                : calling.IsCompletedSuccessfully ? (await calling).Value
                : calling.Exception?.InnerException is SparkflyAuthenticationException ? Model.Fails
                : $"{calling.Exception}";
            Expect(actual == expected, $"expected: {expected}, but the caller got: {actual}");
            if (expected == Model.Waits)
            {
                _waiting.Add((calling, cancellation));
            }

            await ExpectPostAsync();
        }

        private async Task ExpectPostAsync()
        {
            if (_model.IsAsking && !_open.Any(p => p.Key == _key))
            {
                await _posts.Reaches(++_expectedPosts);
                Expect(_arrived.TryDequeue(out Post? post) && post.Key == _key, "a token request with another key");
                _open.Add(post!);
            }

            Expect(_posts.Value == _expectedPosts, $"expected {_expectedPosts} token requests, but {_posts} came");
        }

        private async Task AnswerAsync(Post post, Do what)
        {
            _open.Remove(post);
            HttpResponseMessage answer = what switch
            {
                Do.Succeed => _sparkfly.Token(),
                Do.Fail => InMemorySparkfly.Status(HttpStatusCode.ServiceUnavailable),
                _ => InMemorySparkfly.Status(HttpStatusCode.Unauthorized),
            };
            string? value = what == Do.Succeed ? answer.Headers.GetValues("X-Auth-Token").Single() : null;
            post.Answer.SetResult(answer);
            await _outcomes.Reaches(++_expectedOutcomes);

            // An answer to a request made with old options never serves new ones.
            if (post.Key != _key)
            {
                return;
            }

            bool isTooLate = Now >= post.SentAt + s_usableLife;
            if (value is not null && !isTooLate)
            {
                var token = new SparkflyToken(value, post.SentAt, post.SentAt + s_usableLife);
                _model.Succeed(token, Now);
                _known.Add(token);
            }
            else
            {
                _model.Fail(what == Do.Reject, Now);
            }

            foreach ((Task<SparkflyToken> call, CancellationTokenSource cancellation) in _waiting)
            {
                await ((Task)call).WaitAsync(TestApp.Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                Expect(
                    value is not null && !isTooLate ? call.IsCompletedSuccessfully && (await call).Value == value
                        : call.Exception?.InnerException is SparkflyAuthenticationException,
                    $"who waited for an answer ({what}) ended {call.Status}: {call.Exception?.InnerException}");
                cancellation.Dispose();
            }

            _waiting.Clear();
        }

        private async Task CancelAsync(int which)
        {
            (Task<SparkflyToken> call, CancellationTokenSource cancellation) = _waiting[which];
            _waiting.RemoveAt(which);
            await cancellation.CancelAsync();
            await ((Task)call).WaitAsync(TestApp.Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Expect(call.IsCanceled, $"who cancelled ended {call.Status}");
            Expect(_waiting.TrueForAll(static w => !w.Call.IsCompleted), "others ended with the one that cancelled");
            cancellation.Dispose();
        }

        private string ChangeKey()
        {
            string key = $"{_keyPrefix}{++_keys}";
            _sparkfly.Reload("Key", key);
            return key;
        }

        private sealed record Post(string Key, DateTimeOffset SentAt)
        {
            public TaskCompletionSource<HttpResponseMessage?> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        /// <summary>Counts the token requests that have ended: what the account holds, and its backoff, are settled by then.</summary>
        private sealed class Outcomes(Counter counter) : ILoggerProvider, ILogger
        {
            public ILogger CreateLogger(string categoryName) => this;

            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

            public void Log<TState>(
                LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                if (eventId.Name is "TokenObtained" or "TokenRequestFailed")
                {
                    counter.Increment();
                }
            }

            public void Dispose()
            {
            }
        }
    }

    /// <summary>Many threads at once: what must hold in whatever order things happen.</summary>
    private sealed class ParallelRun : IAsyncDisposable
    {
        private readonly InMemorySparkfly _sparkfly;
        private readonly TestApp _app;
        private readonly DateTimeOffset _start;
        private readonly Lock _lock = new();
        private readonly string _keyPrefix;
        private readonly Dictionary<string, int> _inFlight = [];
        private readonly Dictionary<string, (int Key, int Number)> _issued = [];
        private readonly Dictionary<int, int> _newest = [];
        private int _key;
        private int _posts;
        private int _mostInFlight;
        private volatile Do _answer = Do.Succeed;

        public ParallelRun(InMemorySparkfly sparkfly)
        {
            _sparkfly = sparkfly;
            _keyPrefix = NewKeyPrefix(sparkfly);
            ChangeKey();
            sparkfly.OnTokenRequest = AnswerAsync;
            _app = App(sparkfly, static services => services.AddLogging(static logging => logging.SetMinimumLevel(LogLevel.None)));
            _start = _app.Time.GetUtcNow();
        }

        public async Task ThreadAsync((Do What, int Number)[] steps)
        {
            SparkflyToken last = Foreign(_start);
            SparkflyToken first = last;
            foreach ((Do what, int number) in steps)
            {
                switch (what)
                {
                    case Do.Get:
                        last = await CallAsync(static (tokens, c) => tokens.GetTokenAsync(c), null) ?? last;
                        first = ReferenceEquals(first, last) ? first : last;
                        break;
                    case Do.Renew:
                        last = await CallAsync((tokens, c) => tokens.RenewTokenAsync(last, c), null) ?? last;
                        break;
                    case Do.RenewOld:
                        last = await CallAsync((tokens, c) => tokens.RenewTokenAsync(first, c), null) ?? last;
                        break;
                    case Do.RenewForeign:
                        last = await CallAsync((tokens, c) => tokens.RenewTokenAsync(Foreign(_start), c), null) ?? last;
                        break;
                    case Do.Cancel:
                        last = await CallAsync(static (tokens, c) => tokens.GetTokenAsync(c), new CancellationTokenSource()) ?? last;
                        break;
                    case Do.Advance:
                        _app.Time.Advance(s_step * (1 + (number % 8)));
                        break;
                    case Do.ChangeKey when number < 20:
                        ChangeKey();
                        break;
                    case Do.Succeed or Do.Fail or Do.Reject:
                        _answer = what;
                        break;
                }
            }
        }

        public void CheckCounts()
        {
            TimeSpan time = _app.Time.GetUtcNow() - _start;

            // Each is a first one, or replaces one that has lived for half of its life, or was forced, or has failed.
            int bound = (3 * _key) + (int)((time / (s_usableLife / 2)) + (time / s_refreshInterval) + (time / s_minBackoff));
            Expect(_mostInFlight <= 1, $"{_mostInFlight} token requests of one account in flight at once");
            Expect(_posts <= bound, $"{_posts} token requests, where {bound} are the bound: {_key} keys in {time}");
        }

        public ValueTask DisposeAsync() => _app.DisposeAsync();

        private async Task<SparkflyToken?> CallAsync(
            Func<ISparkflyTokenProvider, CancellationToken, ValueTask<SparkflyToken>> call, CancellationTokenSource? cancellation)
        {
            DateTimeOffset startedAt = _app.Time.GetUtcNow();
            int key = Volatile.Read(ref _key);
            int newest;
            lock (_lock)
            {
                newest = _newest.GetValueOrDefault(key);
            }

            SparkflyToken token;
            try
            {
                Task<SparkflyToken> calling = call(_app.Tokens, cancellation?.Token ?? CancellationToken.None).AsTask();
                cancellation?.Cancel();
                token = await calling.WaitAsync(TestApp.Patience);
            }
            catch (Exception exception) when (exception is SparkflyAuthenticationException || (exception is OperationCanceledException && cancellation is not null))
            {
                return null;
            }
            finally
            {
                cancellation?.Dispose();
            }

            lock (_lock)
            {
                (int keyOfToken, int number) = _issued[token.Value];
                Expect(token.ExpiresAt > startedAt, $"expired {token.ExpiresAt:T}, returned to a call of {startedAt:T}");
                Expect(keyOfToken >= key, $"the token of key {keyOfToken} for a call when the key was {key}");
                Expect(keyOfToken > key || number >= newest, $"token {number} for a call after token {newest} was in use");
                _newest[keyOfToken] = Math.Max(_newest.GetValueOrDefault(keyOfToken), number);
                return token;
            }
        }

        private async Task<HttpResponseMessage?> AnswerAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            string key = KeyOf(request);
            if (!key.StartsWith(_keyPrefix, StringComparison.Ordinal))
            {
                return null;
            }

            lock (_lock)
            {
                _inFlight[key] = _inFlight.GetValueOrDefault(key) + 1;
                _mostInFlight = Math.Max(_mostInFlight, _inFlight[key]);
                _posts++;
            }

            await Task.Yield();
            Do answer = _answer;
            lock (_lock)
            {
                _inFlight[key]--;
                if (answer != Do.Succeed)
                {
                    return InMemorySparkfly.Status(answer == Do.Fail ? HttpStatusCode.BadGateway : HttpStatusCode.Unauthorized);
                }

                HttpResponseMessage response = _sparkfly.Token();
                _issued[response.Headers.GetValues("X-Auth-Token").Single()] = (int.Parse(key[_keyPrefix.Length..], null), _issued.Count + 1);
                return response;
            }
        }

        private void ChangeKey()
        {
            lock (_sparkfly)
            {
                _sparkfly.Reload("Key", $"{_keyPrefix}{_key + 1}");
                Volatile.Write(ref _key, _key + 1);
            }
        }
    }
}
