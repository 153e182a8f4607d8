using System.Globalization;
using System.Net;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.7: renewal ahead of expiry, in the background.</summary>
public class RenewalAheadTests
{
    private static readonly TimeSpan s_tick = TimeSpan.FromTicks(1);
    private static readonly TimeSpan s_window = TimeSpan.FromMinutes(15);

    // Seconds after 1, 2, 4, 8, 16, 32, and then always 60.
    private static readonly int[] s_backoffs = [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423];

    [TestCase(0.0)]
    [TestCase(0.25)]
    [TestCase(0.5)]
    [TestCase(0.999)]
    public void A_renewal_is_due_at_the_moment_the_token_drew_from_the_first_half_of_the_window(double draw)
    {
        var time = new FakeTimeProvider();
        var tokens = new TokenState(time, new Drawn(draw));
        AccountSettings settings = AccountSettings.From(new SparkflyAuthOptions { Identity = "identity", Key = "key" });
        SparkflyToken token = Obtain(tokens, settings, time.GetUtcNow());
        DateTimeOffset due = token.ExpiresAt - s_window + (draw / 2 * s_window);

        time.SetUtcNow(due - s_tick);
        Assert.That(tokens.Warm(settings), Is.SameAs(token), "one tick before it is due");
        Assert.That(tokens.Get(settings).MustStart, Is.False, "one tick before it is due");

        time.SetUtcNow(due);
        TokenDecision decision = tokens.Get(settings);
        Assert.That(decision.MustStart, Is.True, "when it is due");
        Assert.That(decision.Token, Is.SameAs(token), "the request goes on with the token it has");
        Assert.That(due, Is.InRange(token.ExpiresAt - s_window, token.ExpiresAt - (s_window / 2)));
    }

    [Test]
    public void Each_token_draws_its_own_moment()
    {
        var time = new FakeTimeProvider();
        var tokens = new TokenState(time, new Drawn(0, 0.999));
        AccountSettings settings = AccountSettings.From(new SparkflyAuthOptions { Identity = "identity", Key = "key" });

        SparkflyToken first = Obtain(tokens, settings, time.GetUtcNow());
        time.SetUtcNow(first.ExpiresAt - s_window);
        TokenDecision renewal = tokens.Get(settings);
        Assert.That(renewal.MustStart, Is.True, "the first drew 0");
        var second = new SparkflyToken("second", time.GetUtcNow(), time.GetUtcNow() + settings.UsableLife);
        tokens.Complete(renewal.Pending!.Request, TokenResponse.Of(second));
        time.SetUtcNow(second.ExpiresAt - (s_window / 2) - TimeSpan.FromSeconds(1));

        Assert.That(tokens.Warm(settings), Is.SameAs(second), "the second drew 0.999");
    }

    [TestCase("00:10:00", "00:05:00", "00:15:00", 150, Description = "usable for 5 minutes, so the window is 2.5 of them")]
    [TestCase("1.00:00:00", "00:05:00", "23:00:00", 43050, Description = "usable for 23:55, so the window is half of that")]
    [TestCase("1.00:00:00", "00:05:00", "01:00:00", 82500, Description = "one hour before 23:55")]
    public void The_earliest_moment_is_the_start_of_the_window(string lifetime, string margin, string refreshAhead, int windowStartsAfterSeconds)
    {
        var time = new FakeTimeProvider();
        var tokens = new TokenState(time, new Drawn(0));
        AccountSettings settings = AccountSettings.From(new SparkflyAuthOptions
        {
            Identity = "identity",
            Key = "key",
            TokenLifetime = TimeSpan.Parse(lifetime, CultureInfo.InvariantCulture),
            ExpirationMargin = TimeSpan.Parse(margin, CultureInfo.InvariantCulture),
            RefreshAhead = TimeSpan.Parse(refreshAhead, CultureInfo.InvariantCulture),
        });
        SparkflyToken token = Obtain(tokens, settings, time.GetUtcNow());

        time.SetUtcNow(token.ObtainedAt + TimeSpan.FromSeconds(windowStartsAfterSeconds) - s_tick);
        Assert.That(tokens.Get(settings).MustStart, Is.False, "one tick before it");
        time.SetUtcNow(token.ObtainedAt + TimeSpan.FromSeconds(windowStartsAfterSeconds));
        Assert.That(tokens.Get(settings).MustStart, Is.True);
    }

    [TestCase("00:10:00", "00:05:00", "00:15:00", 150, Description = "usable for 5 minutes, so the window is 2.5 of them")]
    [TestCase("1.00:00:00", "00:05:00", "23:00:00", 43050, Description = "usable for 23:55, so the window is half of that")]
    [TestCase("1.00:00:00", "00:05:00", "01:00:00", 82500, Description = "one hour before 23:55")]
    public async Task The_window_is_at_most_half_of_the_usable_life(string lifetime, string margin, string refreshAhead, int windowStartsAfterSeconds)
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Settings["TokenLifetime"] = lifetime;
        sparkfly.Settings["ExpirationMargin"] = margin;
        sparkfly.Settings["RefreshAhead"] = refreshAhead;
        await using TestApp app = sparkfly.App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        TimeSpan beforeWindow = TimeSpan.FromSeconds(windowStartsAfterSeconds);
        TimeSpan window = token.ExpiresAt - token.ObtainedAt - beforeWindow;

        app.Time.Advance(beforeWindow - s_tick);
        await app.Tokens.GetTokenAsync();
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "one tick before the window");

        // Whatever was drawn, it is due by the middle of the window.
        app.Time.Advance((window / 2) + s_tick);
        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(token));
        await sparkfly.TokenRequests.Reaches(2);
    }

    [Test]
    public async Task Two_hundred_requests_with_a_ten_minute_token_cost_one_POST()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.TokenLifetime = TimeSpan.FromMinutes(10));
        using HttpClient client = app.Client();

        for (int i = 0; i < 200; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"request {i}");
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Requests_go_on_with_the_token_they_have_while_one_renewal_is_under_way()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        Gate gate = sparkfly.HoldTokenRequests();
        app.Time.SetUtcNow(token.ExpiresAt - (s_window / 2));

        HttpResponseMessage[] responses = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(() => client.GetAsync("offers"))))
            .WaitAsync(TestApp.Patience);
        Assert.That(responses.Count(static r => r.StatusCode == HttpStatusCode.OK), Is.EqualTo(100), "answered while the renewal hangs");
        await sparkfly.TokenRequests.Reaches(2);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "one first token, one renewal");

        gate.Open();
        SparkflyToken renewed = await Eventually(app.Tokens, token);
        Assert.That(renewed.ObtainedAt, Is.EqualTo(app.Time.GetUtcNow()));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task While_the_renewal_fails_requests_succeed_until_the_tokens_end()
    {
        var sparkfly = new InMemorySparkfly();

        // Many seconds pass while a renewal is under way: it is to end with its answer.
        await using TestApp app = sparkfly.App(static options => options.AuthTimeout = TimeSpan.FromDays(1));
        using HttpClient client = app.Client();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        sparkfly.Fail();
        app.Time.SetUtcNow(token.ExpiresAt - (s_window / 2));

        // Every second for the seven and a half minutes that are left.
        for (int second = 0; second < 450; second++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"{token.ExpiresAt - app.Time.GetUtcNow()} before the end");
            app.Time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.That(app.Time.GetUtcNow(), Is.EqualTo(token.ExpiresAt));
        SparkflyAuthenticationException? exception =
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("offers").WaitAsync(TestApp.Patience));
        Assert.That(exception!.AuthStatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
    }

    [Test]
    public void While_the_renewal_fails_the_backoff_holds()
    {
        var time = new FakeTimeProvider();
        var tokens = new TokenState(time, new Drawn(0.999999));
        AccountSettings settings = AccountSettings.From(new SparkflyAuthOptions { Identity = "identity", Key = "key" });
        SparkflyToken token = Obtain(tokens, settings, time.GetUtcNow());
        time.SetUtcNow(token.ExpiresAt - (s_window / 2));

        var renewedAfter = new List<int>();
        for (int second = 0; second < 450; second++)
        {
            TokenDecision decision = tokens.Get(settings);
            Assert.That(decision.Token, Is.SameAs(token), $"after {second} seconds");
            if (decision.MustStart)
            {
                renewedAfter.Add(second);
                tokens.Complete(decision.Pending!.Request, TokenResponse.Of(new AuthFailure("no")));
            }

            time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.That(renewedAfter, Is.EqualTo(s_backoffs));
    }

    [Test]
    public async Task A_request_at_the_tokens_end_waits_for_the_renewal_that_is_under_way()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.AuthTimeout = TimeSpan.FromDays(1));
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        Gate gate = sparkfly.HoldTokenRequests();
        app.Time.SetUtcNow(token.ExpiresAt - s_tick);
        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(token));
        await sparkfly.TokenRequests.Reaches(2);

        app.Time.Advance(s_tick);
        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        Assert.That(waiting.IsCompleted, Is.False);
        gate.Open();

        Assert.That((await waiting.WaitAsync(TestApp.Patience)).Value, Is.Not.EqualTo(token.Value));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_401_during_a_background_renewal_waits_for_it_rather_than_ask_again()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        Gate gate = sparkfly.HoldTokenRequests();
        app.Time.SetUtcNow(token.ExpiresAt - (s_window / 2));
        sparkfly.Revoke();

        Task<HttpResponseMessage> calling = client.GetAsync("offers");
        await sparkfly.ApiRequests.Reaches(1);
        await sparkfly.TokenRequests.Reaches(2);
        gate.Open();

        using HttpResponseMessage response = await calling.WaitAsync(TestApp.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_401_during_a_background_renewal_waits_for_it_also_within_UnauthorizedRefreshInterval()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.UnauthorizedRefreshInterval = TimeSpan.FromDays(1));
        using HttpClient client = app.Client();
        SparkflyToken token = await app.Tokens.RenewTokenAsync(await app.Tokens.GetTokenAsync());
        Gate gate = sparkfly.HoldTokenRequests();
        app.Time.SetUtcNow(token.ExpiresAt - (s_window / 2));
        sparkfly.Revoke();

        Task<HttpResponseMessage> calling = client.GetAsync("offers");
        await sparkfly.TokenRequests.Reaches(3);
        gate.Open();

        using HttpResponseMessage response = await calling.WaitAsync(TestApp.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(3));
    }

    [Test]
    public async Task An_idle_process_asks_nothing()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();

        for (int hour = 0; hour < 72; hour++)
        {
            app.Time.Advance(TimeSpan.FromHours(1));
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "after three idle days");
        Assert.That((await app.Tokens.GetTokenAsync()).Value, Is.Not.EqualTo(token.Value));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task Without_RefreshAhead_nothing_is_renewed_before_the_end()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.RefreshAhead = TimeSpan.Zero);
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        sparkfly.Fail();
        app.Time.SetUtcNow(token.ExpiresAt - s_tick);

        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(token), "one tick before the end");

        // A background renewal would have failed, and its backoff would be the answer now.
        sparkfly.Recover();
        app.Time.Advance(s_tick);
        SparkflyToken next = await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);
        Assert.That(next.Value, Is.Not.EqualTo(token.Value));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    private static SparkflyToken Obtain(TokenState tokens, AccountSettings settings, DateTimeOffset now)
    {
        var token = new SparkflyToken("first", now, now + settings.UsableLife);
        TokenDecision decision = tokens.Get(settings);
        Assert.That(decision.MustStart, Is.True);
        tokens.Complete(decision.Pending!.Request, TokenResponse.Of(token));
        return token;
    }

    private static async Task<SparkflyToken> Eventually(ISparkflyTokenProvider tokens, SparkflyToken otherThan)
    {
        using var patience = new CancellationTokenSource(TestApp.Patience);
        while (true)
        {
            SparkflyToken token = await tokens.GetTokenAsync(patience.Token);
            if (!ReferenceEquals(token, otherThan))
            {
                return token;
            }

            patience.Token.ThrowIfCancellationRequested();
            await Task.Delay(1);
        }
    }

    private sealed class Drawn(params double[] draws) : Random
    {
        private int _next;

        public override double NextDouble() => draws[Math.Min(_next++, draws.Length - 1)];
    }
}
