using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.4: a token is never used at or after <c>ObtainedAt + TokenLifetime - ExpirationMargin</c>.</summary>
public class ExpiryTests
{
    private static readonly TimeSpan s_tick = TimeSpan.FromTicks(1);

    [TestCase("1.00:00:00", "00:05:00")]
    [TestCase("00:10:00", "00:05:00")]
    [TestCase("00:00:01", "00:00:00")]
    public async Task A_token_is_used_until_one_tick_before_its_end_and_not_at_its_end(string lifetime, string margin)
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Settings["TokenLifetime"] = lifetime;
        sparkfly.Settings["ExpirationMargin"] = margin;
        sparkfly.Settings["RefreshAhead"] = "0";
        await using TestApp app = sparkfly.App();

        SparkflyToken first = await app.Tokens.GetTokenAsync();
        app.Time.SetUtcNow(first.ExpiresAt - s_tick);
        SparkflyToken last = await app.Tokens.GetTokenAsync();
        app.Time.Advance(s_tick);
        SparkflyToken next = await app.Tokens.GetTokenAsync();

        Assert.That(last, Is.SameAs(first), "one tick before the end");
        Assert.That(next.Value, Is.Not.EqualTo(first.Value), "at the end");
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_tokens_life_counts_from_the_moment_its_request_was_sent_however_slow_the_answer()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App(static options =>
            (options.AuthTimeout, options.RefreshAhead) = (TimeSpan.FromHours(2), TimeSpan.Zero));
        DateTimeOffset sentAt = app.Time.GetUtcNow();

        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        app.Time.Advance(TimeSpan.FromHours(1));
        gate.Open();
        SparkflyToken token = await waiting.WaitAsync(TestApp.Patience);

        Assert.That(token.ObtainedAt, Is.EqualTo(sentAt));
        Assert.That(token.ExpiresAt, Is.EqualTo(sentAt + TimeSpan.FromDays(1) - TimeSpan.FromMinutes(5)));
        app.Time.SetUtcNow(token.ExpiresAt);
        Assert.That((await app.Tokens.GetTokenAsync()).Value, Is.Not.EqualTo(token.Value), "at the end");
    }

    [Test]
    public async Task A_token_whose_life_was_over_when_it_came_is_a_failure_that_says_so()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App(static options => (options.AuthTimeout, options.TokenLifetime, options.ExpirationMargin) =
            (TimeSpan.FromHours(2), TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(5)));

        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        app.Time.Advance(TimeSpan.FromMinutes(5));
        gate.Open();

        SparkflyAuthenticationException? exception =
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => waiting.WaitAsync(TestApp.Patience));
        Assert.That(exception!.Message, Does.Contain("TokenLifetime").And.Contain("ExpirationMargin"));
    }

    [Test]
    public async Task A_caller_that_is_late_to_take_its_token_asks_again_rather_than_use_an_expired_one()
    {
        var sparkfly = new InMemorySparkfly();
        TestApp? app = null;
        int obtained = 0;

        // The entry is written after the token has come, and before those who wait are told.
        void SleepThroughTheFirstTokensLife(string entry)
        {
            if (entry.Contains("[1] Obtained a token", StringComparison.Ordinal) && Interlocked.Increment(ref obtained) == 1)
            {
                app!.Time.Advance(TimeSpan.FromDays(1));
            }
        }

        await using TestApp created = app = sparkfly.App(register: services => services.AddLogging(logging =>
            logging.AddProvider(new SecretSweep.Provider(SleepThroughTheFirstTokensLife))));
        SparkflyToken token = await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);

        Assert.That(token.ExpiresAt, Is.GreaterThan(app.Time.GetUtcNow()));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_TokenLifetime_that_a_reload_shortens_holds_for_the_token_in_use()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();

        SparkflyToken first = await app.Tokens.GetTokenAsync();
        app.Time.Advance(TimeSpan.FromHours(1));
        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(first));
        sparkfly.Reload("TokenLifetime", "01:05:00");
        SparkflyToken second = await app.Tokens.GetTokenAsync();

        Assert.That(second.Value, Is.Not.EqualTo(first.Value), "60 minutes after a token of 65, with a margin of 5");
        Assert.That(second.ExpiresAt, Is.EqualTo(app.Time.GetUtcNow() + TimeSpan.FromHours(1)));
    }

    [Test]
    public async Task A_TokenLifetime_that_a_reload_shortens_holds_for_the_token_that_is_on_its_way()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App(static options => options.AuthTimeout = TimeSpan.FromDays(1));

        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        app.Time.Advance(TimeSpan.FromHours(1));
        sparkfly.Reload("TokenLifetime", "01:05:00");
        gate.Open();
        SparkflyToken token = await waiting.WaitAsync(TestApp.Patience);

        Assert.That(token.ObtainedAt, Is.EqualTo(app.Time.GetUtcNow()), "the one that came was 60 minutes old, with 60 minutes to live");
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }
}
