using System.Net;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 5.8: <c>AuthTimeout</c> bounds a token request also where a handler of the application blocks its thread.</summary>
public class BlockedAuthClientTests
{
    /// <summary>What blocks.</summary>
    public enum Blocking
    {
        Handler,
        MakingTheHandler,
        Body,
    }

    [Test]
    public async Task AuthTimeout_ends_the_wait_and_the_account_lives_on_while_the_thread_is_still_blocked([Values] Blocking blocking)
    {
        using var release = new ManualResetEventSlim();
        var blocked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int sends = 0;
        await using TestApp app = App(client => client
            .AddHttpMessageHandler(() =>
            {
                Block(blocking == Blocking.MakingTheHandler);
                return new InlineHandler((request, send) =>
                {
                    bool isFirst = Interlocked.Increment(ref sends) == 1;
                    Block(isFirst && blocking == Blocking.Handler);
                    return isFirst && blocking == Blocking.Body ? Task.FromResult(Unauthorized()) : send(request);
                });
            })
            .ConfigurePrimaryHttpMessageHandler(static () => new ScriptedPrimaryHandler(static (_, _) => Task.FromResult(Token()))));
        try
        {
            Task<SparkflyAuthenticationException>[] calls = [FailingCall(app), FailingCall(app)];
            await blocked.Task.WaitAsync(TestApp.Patience);
            app.Time.Advance(TimeSpan.FromSeconds(30));
            SparkflyAuthenticationException[] failures = await Task.WhenAll(calls);

            Assert.That(
                failures.Select(static f => f.Message), Is.All.Contains(blocking == Blocking.Body ? "401 (Unauthorized)" : "not answered within AuthTimeout (00:00:30)"));
            Assert.That(failures.Select(static f => f.IsTransient), Is.All.EqualTo(blocking != Blocking.Body));

            // After the backoff. The factory's own lock is still held where making the handler blocks.
            app.Time.Advance(TimeSpan.FromMinutes(2));
            if (blocking == Blocking.MakingTheHandler)
            {
                release.Set();
            }

            Assert.That((await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience)).Value, Does.StartWith("token-"));
        }
        finally
        {
            release.Set();
        }

        HttpResponseMessage Unauthorized() => new(HttpStatusCode.Unauthorized) { Content = new StreamContent(new BlockingStream(() => Block(true))) };

        void Block(bool isToBlock)
        {
            if (isToBlock)
            {
                blocked.TrySetResult();
                release.Wait();
            }
        }
    }

    [Test]
    public async Task A_response_that_comes_too_late_is_disposed_of()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var late = new TaskCompletionSource<HttpResponseMessage>();
        var disposed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using TestApp app = App(client => client.ConfigurePrimaryHttpMessageHandler(() => new ScriptedPrimaryHandler((_, _) =>
        {
            asked.TrySetResult();
            return late.Task;
        })));

        Task<SparkflyAuthenticationException> failing = Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        await asked.Task.WaitAsync(TestApp.Patience);
        app.Time.Advance(TimeSpan.FromSeconds(30));
        await failing;
        HttpResponseMessage response = Token();
        response.Content = new StreamContent(new DisposedStream(disposed));
        late.SetResult(response);

        await disposed.Task.WaitAsync(TestApp.Patience);
    }

    private static Task<SparkflyAuthenticationException> FailingCall(TestApp app) =>
        Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

    private static HttpResponseMessage Token() => new(HttpStatusCode.NoContent) { Headers = { { "X-Auth-Token", SecretSweep.NewSecret("token") } } };

    private static TestApp App(Action<IHttpClientBuilder> configure) => new(services => services
        .AddSparkflyAuth(static options => (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
        .ConfigureAuthClient(configure));

    private sealed class BlockingStream(Action block) : MemoryStream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            block();
            return base.ReadAsync(buffer, cancellationToken);
        }
    }

    private sealed class DisposedStream(TaskCompletionSource disposed) : MemoryStream
    {
        protected override void Dispose(bool disposing)
        {
            disposed.TrySetResult();
            base.Dispose(disposing);
        }
    }
}
