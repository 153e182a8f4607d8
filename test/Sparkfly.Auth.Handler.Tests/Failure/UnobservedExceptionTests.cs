using System.Net;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>No failure that nobody waits for any more ends as an unobserved task exception.</summary>
[NonParallelizable]
public class UnobservedExceptionTests
{
    private const string Marker = "unobserved-by-anyone";

    [Test]
    public async Task A_token_send_that_was_given_up_and_fails_later([Values] bool isDisposed)
    {
        await NothingIsUnobserved(async () =>
        {
            var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var late = new TaskCompletionSource<HttpResponseMessage>();
            await using TestApp app = App((_, _) =>
            {
                asked.TrySetResult();
                return late.Task;
            });
            Task call = Ignore(app.Tokens.GetTokenAsync().AsTask());
            await asked.Task.WaitAsync(TestApp.Patience);
            if (isDisposed)
            {
                await app.DisposeAsync();
            }
            else
            {
                app.Time.Advance(TimeSpan.FromSeconds(30));
            }

            await call.WaitAsync(TestApp.Patience);
            late.SetException(new HttpRequestException(Marker));
        });
    }

    [Test]
    public async Task An_account_source_that_was_given_up_and_fails_later()
    {
        await NothingIsUnobserved(async () =>
        {
            var options = new Late<SparkflyAuthOptions?>();
            using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.OK));
            await using var app = new TestApp(services =>
            {
                services.AddSingleton(options);
                services.AddSparkflyAccountSource<LateSource>();
                services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => primary);
            });
            using HttpClient client = app.Client();
            using var request = new HttpRequestMessage(HttpMethod.Get, "https://api.sparkfly.com/v1.0/offers");
            request.SetSparkflyAccount("tenant");
            Task call = Ignore(client.SendAsync(request));
            await options.Asked.WaitAsync(TestApp.Patience);
            app.Time.Advance(TimeSpan.FromSeconds(30));
            await call.WaitAsync(TestApp.Patience);
            options.Fail(new InvalidOperationException(Marker));
        });
    }

    [Test]
    public async Task A_renewal_that_fails_after_its_caller_has_cancelled()
    {
        await NothingIsUnobserved(async () =>
        {
            var renewed = new Late<SparkflyToken>();
            using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized) { Content = new StreamContent(new EndlessStream()) });
            await using var app = new TestApp(services =>
            {
                services.AddSparkflyAuth(static o => (o.Identity, o.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")));
                services.AddSingleton<ISparkflyTokenProvider>(new LateTokens(renewed));
                services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => primary);
            });
            using HttpClient client = app.Client();
            using var cancel = new CancellationTokenSource();
            Task call = Ignore(client.GetAsync("offers", cancel.Token));
            await renewed.Asked.WaitAsync(TestApp.Patience);
            await cancel.CancelAsync();
            await call.WaitAsync(TestApp.Patience);
            renewed.Fail(new InvalidOperationException(Marker));
        });
    }

    /// <summary>Event 22 is logged where nobody waits; the others are in the way of a call or of the one token request. No call waits for ever.</summary>
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(22)]
    public async Task A_logger_that_throws(int eventId)
    {
        await NothingIsUnobserved(async () =>
        {
            int tokenRequests = 0;
            var logged = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
            await using var app = new TestApp(services =>
            {
                services.AddSparkflyAuth(static o => (o.Identity, o.Key, o.RetryOnUnauthorized) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"), false))
                    .ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(() => new ScriptedPrimaryHandler((_, _) =>

                        // The second one is made in the background, before or after the first call has ended.
                        Task.FromResult(Interlocked.Increment(ref tokenRequests) == 1 ? Token() : new HttpResponseMessage(HttpStatusCode.InternalServerError)))));
                services.AddLogging(logging => logging.AddProvider(new ThrowingProvider(eventId, logged)));
                services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => primary);
            });
            using HttpClient client = app.Client();
            await Ignore(client.GetAsync("offers").WaitAsync(TestApp.Patience));
            app.Time.Advance(TimeSpan.FromMinutes(1));
            await Ignore(client.GetAsync("offers").WaitAsync(TestApp.Patience));
            await Ignore(client.GetAsync("offers").WaitAsync(TestApp.Patience));
            await logged.Task.WaitAsync(TestApp.Patience);
        });
    }

    private static HttpResponseMessage Token() => new(HttpStatusCode.NoContent) { Headers = { { "X-Auth-Token", SecretSweep.NewSecret("token") } } };

    private static TestApp App(Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>> answer) => new(services => services
        .AddSparkflyAuth(static options => (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
        .ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(() => new ScriptedPrimaryHandler(answer))));

    private static async Task Ignore(Task task)
    {
        try
        {
            await task;
        }
        catch (Exception exception) when (exception is not TimeoutException)
        {
            // That is another test's.
        }
    }

    /// <summary>Runs what leaves tasks behind, and looks at what becomes of them when they are collected.</summary>
    private static async Task NothingIsUnobserved(Func<Task> act)
    {
        var unobserved = new System.Collections.Concurrent.ConcurrentQueue<string>();
        void Note(object? sender, UnobservedTaskExceptionEventArgs args) => unobserved.Enqueue(args.Exception.ToString());
        TaskScheduler.UnobservedTaskException += Note;
        try
        {
            await Task.Run(act);
            for (int i = 0; i < 5; i++)
            {
                await Task.Delay(20);
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Note;
        }

        Assert.That(unobserved.Where(static u => u.Contains(Marker, StringComparison.Ordinal)), Is.Empty);
    }

    /// <summary>What is asked for and fails later. The task that failed is not kept, so that it can be collected.</summary>
    private sealed class Late<T>
    {
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource<T>? _result = new();

        public Task Asked => _asked.Task;

        public ValueTask<T> AskAsync()
        {
            _asked.TrySetResult();
            return new(_result!.Task);
        }

        public void Fail(Exception exception)
        {
            _result!.SetException(exception);
            _result = null;
        }
    }

    private sealed class LateTokens(Late<SparkflyToken> renewed) : ISparkflyTokenProvider
    {
        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
            new(new SparkflyToken(SecretSweep.NewSecret("token"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue));

        public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default) => renewed.AskAsync();
    }

    private sealed class LateSource(Late<SparkflyAuthOptions?> options) : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) => options.AskAsync();
    }

    private sealed class EndlessStream : MemoryStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return 0;
        }
    }

    private sealed class ThrowingProvider(int eventId, TaskCompletionSource logged) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId id, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (id.Id == eventId && formatter(state, exception).Contains("Sparkfly", StringComparison.Ordinal))
            {
                logged.TrySetResult();
                throw new InvalidOperationException(Marker);
            }
        }

        public void Dispose()
        {
        }
    }
}
