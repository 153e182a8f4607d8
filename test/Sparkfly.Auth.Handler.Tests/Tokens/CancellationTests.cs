using System.Diagnostics;
using System.Net;
using System.Runtime.ExceptionServices;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.3: who leaves, leaves alone; the shared token request ends with the container only.</summary>
public class CancellationTests
{
    [Test]
    public async Task A_caller_that_cancels_leaves_alone_and_at_once_with_its_own_cancellation()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        using var mine = new CancellationTokenSource();
        using var other = new CancellationTokenSource();

        Task<SparkflyToken> leaving = app.Tokens.GetTokenAsync(mine.Token).AsTask();
        Task<SparkflyToken> staying = app.Tokens.GetTokenAsync(other.Token).AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        await mine.CancelAsync();

        OperationCanceledException? exception = await Assert.CatchAsync<OperationCanceledException>(() => leaving.WaitAsync(TestApp.Patience));
        Assert.That(exception!.CancellationToken, Is.EqualTo(mine.Token));
        Assert.That(staying.IsCompleted, Is.False, "the others go on waiting");

        gate.Open();
        Assert.That((await staying.WaitAsync(TestApp.Patience)).Value, Is.Not.Empty);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task The_first_caller_may_cancel_while_fifty_wait_and_they_get_the_token_that_it_asked_for()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using var first = new CancellationTokenSource();

        Task<HttpResponseMessage> leaving = client.GetAsync("offers", first.Token);
        await sparkfly.TokenRequests.Reaches(1);
        Task<HttpResponseMessage>[] waiting = [.. Enumerable.Range(0, 50).Select(_ => client.GetAsync("offers"))];
        await first.CancelAsync();

        OperationCanceledException? exception = await Assert.CatchAsync<OperationCanceledException>(() => leaving.WaitAsync(TestApp.Patience));
        Assert.That(exception!.CancellationToken, Is.EqualTo(first.Token));
        Assert.That(waiting.Count(static w => w.IsCompleted), Is.Zero, "ended with the first");

        gate.Open();
        foreach (Task<HttpResponseMessage> call in waiting)
        {
            using HttpResponseMessage response = await call.WaitAsync(TestApp.Patience);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task When_every_caller_has_cancelled_the_token_still_arrives_and_serves_the_next_one()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        using var all = new CancellationTokenSource();

        Task<SparkflyToken>[] leaving = [.. Enumerable.Range(0, 10).Select(_ => app.Tokens.GetTokenAsync(all.Token).AsTask())];
        await sparkfly.TokenRequests.Reaches(1);
        await all.CancelAsync();
        foreach (Task<SparkflyToken> call in leaving)
        {
            await Assert.CatchAsync<OperationCanceledException>(() => call.WaitAsync(TestApp.Patience));
        }

        gate.Open();
        SparkflyToken token = await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);

        Assert.That(token.Value, Is.Not.Empty);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "the request of those who left is the next one's too");
    }

    [Test]
    public async Task A_caller_that_has_cancelled_before_asks_for_nothing()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        var cancelled = new CancellationToken(canceled: true);
        ActivitySpanId? askedBy = null;
        sparkfly.OnTokenRequest = (_, _) =>
        {
            askedBy = Activity.Current?.ParentSpanId;
            return Task.FromResult<HttpResponseMessage?>(null);
        };

        using (new Activity("the cancelled caller").Start())
        {
            OperationCanceledException? exception =
                await Assert.CatchAsync<OperationCanceledException>(async () => await app.Tokens.GetTokenAsync(cancelled));
            Assert.That(exception!.CancellationToken, Is.EqualTo(cancelled));
        }

        // The next caller would join a request of the first.
        using Activity next = new Activity("the next caller").Start();
        await app.Tokens.GetTokenAsync();
        Assert.That(askedBy, Is.EqualTo(next.SpanId));
    }

    [Test]
    public async Task A_caller_that_cancels_during_the_renewal_after_a_401_leaves_alone_too()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();
        Gate gate = sparkfly.HoldTokenRequests();
        using var mine = new CancellationTokenSource();

        Task<HttpResponseMessage> leaving = client.GetAsync("offers", mine.Token);
        await sparkfly.TokenRequests.Reaches(2);
        Task<HttpResponseMessage> staying = client.GetAsync("offers");
        await mine.CancelAsync();

        OperationCanceledException? exception = await Assert.CatchAsync<OperationCanceledException>(() => leaving.WaitAsync(TestApp.Patience));
        Assert.That(exception!.CancellationToken, Is.EqualTo(mine.Token));
        gate.Open();
        using HttpResponseMessage response = await staying.WaitAsync(TestApp.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_blocking_caller_can_cancel_too()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using var mine = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        Task<HttpResponseMessage> leaving = Task.Run(() => client.Send(request, mine.Token));
        await sparkfly.TokenRequests.Reaches(1);
        await mine.CancelAsync();

        await Assert.CatchAsync<OperationCanceledException>(() => leaving.WaitAsync(TestApp.Patience));
        gate.Open();
    }

    [TestCase("heeds its cancellation")]
    [TestCase("does not heed its cancellation")]
    [TestCase("blocks its thread")]
    public async Task Disposing_the_container_while_auth_hangs_returns_at_once_and_frees_everyone_who_waits_also_where_auth(string what)
    {
        var sparkfly = new InMemorySparkfly();
        Gate never = sparkfly.HoldTokenRequests(heedsCancellation: what == "heeds its cancellation");
        if (what == "blocks its thread")
        {
            sparkfly.OnTokenRequest = (_, _) =>
            {
                never.Opened.Wait(TestApp.Patience, CancellationToken.None);
                return Task.FromResult<HttpResponseMessage?>(null);
            };
        }

        TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        Task<SparkflyToken>[] waiting = [.. Enumerable.Range(0, 20).Select(_ => app.Tokens.GetTokenAsync().AsTask())];
        Task<HttpResponseMessage> calling = client.GetAsync("offers");
        await sparkfly.TokenRequests.Reaches(1);
        await app.DisposeAsync().AsTask().WaitAsync(TestApp.Patience);

        foreach (Task<SparkflyToken> waiter in waiting)
        {
            await Assert.ThrowsAsync<ObjectDisposedException>(() => waiter.WaitAsync(TestApp.Patience));
        }

        await Assert.ThrowsAsync<ObjectDisposedException>(() => calling.WaitAsync(TestApp.Patience));
        never.Open();
    }

    [Test]
    public async Task A_caller_that_cancels_when_the_second_for_a_401s_body_ends_gets_its_own_cancellation()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();
        sparkfly.OnApiRequest = static (_, _) => Task.FromResult<HttpResponseMessage?>(
            new(HttpStatusCode.Unauthorized) { Content = new StreamContent(new OneWayStream([], 1) { MayEnd = new TaskCompletionSource().Task }) });
        Gate never = sparkfly.HoldTokenRequests();
        using var cancellation = new CancellationTokenSource();
        var isCaller = new AsyncLocal<bool> { Value = true };

        // Between the end of the second and what the handler makes of it.
        void CancelAtTimeout(object? sender, FirstChanceExceptionEventArgs args)
        {
            if (args.Exception is TimeoutException && isCaller.Value)
            {
                cancellation.Cancel();
            }
        }

        AppDomain.CurrentDomain.FirstChanceException += CancelAtTimeout;
        try
        {
            Task<HttpResponseMessage> calling = client.GetAsync("offers", cancellation.Token);
            await sparkfly.TokenRequests.Reaches(2);
            await Fleet.Until(
                () =>
                {
                    app.Time.Advance(TimeSpan.FromSeconds(1));
                    return calling.IsCompleted;
                },
                "the end of the second");

            OperationCanceledException? exception = await Assert.CatchAsync<OperationCanceledException>(() => calling);
            Assert.That(exception!.CancellationToken, Is.EqualTo(cancellation.Token));
        }
        finally
        {
            AppDomain.CurrentDomain.FirstChanceException -= CancelAtTimeout;
            never.Open();
        }
    }

    [Test]
    public async Task After_the_container_was_disposed_of_a_provider_that_somebody_kept_fails_rather_than_asks()
    {
        var sparkfly = new InMemorySparkfly();
        TestApp app = sparkfly.App();
        ISparkflyTokenProvider kept = app.Tokens;
        await app.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => kept.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience));
        Assert.That(sparkfly.TokenRequests.Value, Is.Zero);
    }

    [Test]
    public async Task An_auth_handler_that_ignores_cancellation_is_left_behind_when_AuthTimeout_has_passed()
    {
        var sparkfly = new InMemorySparkfly();
        Gate never = sparkfly.HoldTokenRequests(heedsCancellation: false);
        await using TestApp app = sparkfly.App(static options => options.AuthTimeout = TimeSpan.FromSeconds(7));

        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        app.Time.Advance(TimeSpan.FromSeconds(6));
        Assert.That(waiting.IsCompleted, Is.False, "after 6 of 7 seconds");
        app.Time.Advance(TimeSpan.FromSeconds(1));

        SparkflyAuthenticationException? exception =
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => waiting.WaitAsync(TestApp.Patience));
        Assert.That(exception!.IsTransient, Is.True);
        never.Open();
    }
}
