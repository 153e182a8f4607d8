using System.Globalization;
using System.Net;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 5.2: after a failed token request nobody asks again before a backoff has passed.</summary>
public class BackoffTests
{
    private static readonly TimeSpan s_tick = TimeSpan.FromTicks(1);

    [Test]
    public async Task The_backoff_doubles_with_each_failure_up_to_the_longest()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail();
        await using TestApp app = sparkfly.App(static options =>
            (options.MinFailureBackoff, options.MaxFailureBackoff) = (TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(40)));

        foreach (int seconds in (int[])[3, 6, 12, 24, 40, 40, 40])
        {
            await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(seconds));
        }
    }

    [Test]
    public async Task The_backoff_is_one_second_to_one_minute_by_default()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail();
        await using TestApp app = sparkfly.App();

        foreach (int seconds in (int[])[1, 2, 4, 8, 16, 32, 60, 60])
        {
            await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(seconds));
        }
    }

    [Test]
    public async Task A_success_starts_the_count_anew()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail();
        await using TestApp app = sparkfly.App(static options => options.RefreshAhead = TimeSpan.Zero);
        foreach (int seconds in (int[])[1, 2, 4])
        {
            await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(seconds));
        }

        sparkfly.Recover();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        sparkfly.Fail();
        app.Time.SetUtcNow(token.ExpiresAt);

        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(1));
    }

    [TestCase(HttpStatusCode.Unauthorized)]
    [TestCase(HttpStatusCode.Forbidden)]
    public async Task Rejected_credentials_wait_the_longest_from_the_first(HttpStatusCode status)
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(status);
        await using TestApp app = sparkfly.App(static options => options.MaxFailureBackoff = TimeSpan.FromSeconds(90));

        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(90));
        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(90));
    }

    [TestCase("120", 120, Description = "longer than the backoff")]
    [TestCase("1", 1, Description = "as long")]
    [TestCase("0", 1, Description = "shorter")]
    [TestCase("-5", 1, Description = "not one")]
    [TestCase("soon", 1, Description = "not one")]
    [TestCase("900", 900, Description = "the longest that is kept to")]
    [TestCase("901", 900, Description = "longer than that")]
    [TestCase("86400", 900, Description = "tomorrow")]
    public async Task Retry_After_in_seconds_holds_where_it_is_longer_up_to_fifteen_minutes(string retryAfter, int seconds)
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.TooManyRequests, retryAfter);
        await using TestApp app = sparkfly.App();

        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(seconds));
    }

    [TestCase(-60, 1)]
    [TestCase(0, 1)]
    [TestCase(120, 120)]
    [TestCase(3600, 900)]
    public async Task Retry_After_as_a_date_is_read_on_the_applications_clock(int inSeconds, int seconds)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        sparkfly.Fail(HttpStatusCode.ServiceUnavailable, app.Time.GetUtcNow().AddSeconds(inSeconds).ToString("R", CultureInfo.InvariantCulture));

        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(seconds));
    }

    [Test]
    public async Task Retry_After_holds_for_rejected_credentials_too_and_does_not_shorten_their_backoff()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.Unauthorized, "120");
        await using TestApp app = sparkfly.App();
        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(120));

        sparkfly.Fail(HttpStatusCode.Unauthorized, "30");
        await AssertWaits(app, sparkfly, TimeSpan.FromSeconds(60));
    }

    [TestCase(-24 * 60)]
    [TestCase(-1)]
    [TestCase(1)]
    [TestCase(24 * 60)]
    public async Task A_wall_clock_that_is_set_neither_ends_the_backoff_nor_prolongs_it(int minutes)
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.Unauthorized);
        var clock = new SettableClock();
        await using TestApp app = sparkfly.App(register: services => services.AddSingleton<TimeProvider>(clock));
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        clock.WallClockIsOff = TimeSpan.FromMinutes(minutes);
        clock.Time.Advance(TimeSpan.FromSeconds(60) - s_tick);
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "one tick before the end");

        clock.Time.Advance(s_tick);
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "at the end");
    }

    [TestCase(-24 * 60)]
    [TestCase(24 * 60 - 30)]
    public async Task A_wall_clock_that_is_set_does_not_end_UnauthorizedRefreshInterval(int minutes)
    {
        var sparkfly = new InMemorySparkfly();
        var clock = new SettableClock();
        await using TestApp app = sparkfly.App(
            static options => options.RefreshAhead = TimeSpan.Zero,
            services => services.AddSingleton<TimeProvider>(clock));
        SparkflyToken renewed = await app.Tokens.RenewTokenAsync(await app.Tokens.GetTokenAsync());

        clock.WallClockIsOff = TimeSpan.FromMinutes(minutes);
        Assert.That(await app.Tokens.RenewTokenAsync(renewed), Is.SameAs(renewed), "within the interval");

        clock.Time.Advance(TimeSpan.FromSeconds(30));
        clock.WallClockIsOff = TimeSpan.Zero;
        Assert.That(await app.Tokens.RenewTokenAsync(renewed), Is.Not.SameAs(renewed), "after it");
    }

    [Test]
    public async Task A_backoff_is_its_accounts_own()
    {
        var failing = new InMemorySparkfly();
        var good = new InMemorySparkfly();
        failing.Fail(HttpStatusCode.Unauthorized);
        await using TestApp app = failing.App(register: services => good.AddAccount(services, "good"));
        ISparkflyTokenProvider goodTokens = app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("good");

        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That((await goodTokens.GetTokenAsync()).Value, Is.Not.Empty);
        Assert.That(failing.TokenRequests.Value, Is.EqualTo(1));
        Assert.That(good.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Callers_in_between_fail_at_once_with_the_same_reason_and_an_exception_of_their_own()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.BadGateway);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        SparkflyAuthenticationException first =
            (await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("offers")))!;

        // Should anybody ask after all, this would hang.
        sparkfly.HoldTokenRequests();
        app.Time.Advance(TimeSpan.FromSeconds(1) - s_tick);
        var later = new List<SparkflyAuthenticationException>();
        for (int i = 0; i < 20; i++)
        {
            later.Add((await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("offers").WaitAsync(TestApp.Patience)))!);
        }

        Assert.That(later.Select(static e => e.Message), Is.All.EqualTo(first.Message));
        Assert.That(later.Select(static e => e.AuthStatusCode), Is.All.EqualTo(HttpStatusCode.BadGateway));
        Assert.That(later.Select(static e => e.RetryAt), Is.All.EqualTo(first.RetryAt));
        Assert.That((SparkflyAuthenticationException[])[first, .. later], Is.Unique, "a stack trace is written into the object that is thrown");
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
        Assert.That(sparkfly.ApiRequests.Value, Is.Zero, "nothing leaves without a token");
    }

    [Test]
    public async Task Two_hundred_concurrent_callers_of_a_failing_auth_make_one_POST_and_each_is_told_with_an_object_of_its_own()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        ISparkflyTokenProvider tokens = app.Tokens;

        var asked = new Counter();
        Task<SparkflyAuthenticationException>[] calls = [.. Enumerable.Range(0, 200).Select(_ => Task.Run(async () =>
        {
            ValueTask<SparkflyToken> asking = tokens.GetTokenAsync();
            asked.Increment();
            return (await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => asking.AsTask()))!;
        }))];
        await asked.Reaches(200);
        gate.Open();
        SparkflyAuthenticationException[] exceptions = await Task.WhenAll(calls).WaitAsync(TestApp.Patience);

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
        Assert.That(exceptions.Distinct(ReferenceEqualityComparer.Instance).Count(), Is.EqualTo(200), "exception objects");
        Assert.That(exceptions.Select(static e => e.Message).Distinct().Count(), Is.EqualTo(1), "reasons");
    }

    [Test]
    public async Task Wrong_credentials_cost_one_POST_in_fifty_calls()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.Unauthorized);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        for (int i = 0; i < 50; i++)
        {
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
            app.Time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "in 50 seconds");
    }

    [Test]
    public async Task Changed_options_end_the_backoff_and_an_unrelated_reload_does_not()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.Unauthorized);
        await using TestApp app = sparkfly.App();
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        sparkfly.Recover();
        sparkfly.Reload("Unrelated", "value");
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "after an unrelated reload");

        sparkfly.Reload("AuthTimeout", "00:00:10");
        Assert.That((await app.Tokens.GetTokenAsync()).Value, Is.Not.Empty);
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "after a changed setting");
    }

    [Test]
    public async Task Forced_renewals_that_fail_wait_longer_each_time_until_MaxFailureBackoff_has_passed_without_one()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.MaxFailureBackoff = TimeSpan.FromMinutes(1));
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        sparkfly.Fail();

        Assert.That(await FailsForAsync(), Is.EqualTo(TimeSpan.FromSeconds(1)), "the first");
        app.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.That(await FailsForAsync(), Is.EqualTo(TimeSpan.FromSeconds(2)), "at once after the first backoff");
        app.Time.Advance(TimeSpan.FromSeconds(2) + TimeSpan.FromMinutes(1) - s_tick);
        Assert.That(await FailsForAsync(), Is.EqualTo(TimeSpan.FromSeconds(4)), "one tick before it is forgotten");
        app.Time.Advance(TimeSpan.FromSeconds(4) + TimeSpan.FromMinutes(1));
        Assert.That(await FailsForAsync(), Is.EqualTo(TimeSpan.FromSeconds(1)), "once it is forgotten");

        async Task<TimeSpan> FailsForAsync()
        {
            SparkflyAuthenticationException exception =
                await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(token).AsTask());
            return exception.RetryAt!.Value - app.Time.GetUtcNow();
        }
    }

    [Test]
    public async Task RetryAt_is_the_end_of_the_backoff_on_the_applications_clock()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Fail(HttpStatusCode.ServiceUnavailable, "77");
        await using TestApp app = sparkfly.App();

        SparkflyAuthenticationException? exception =
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception!.RetryAt, Is.EqualTo(app.Time.GetUtcNow().AddSeconds(77)));
    }

    /// <summary>Makes one token request fail, and sees that the next is made when this time has passed, and not a tick before.</summary>
    private static async Task AssertWaits(TestApp app, InMemorySparkfly sparkfly, TimeSpan backoff)
    {
        int before = sparkfly.TokenRequests.Value;
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(before + 1), "the previous backoff is over");

        app.Time.Advance(backoff - s_tick);
        SparkflyAuthenticationException? exception =
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(before + 1), $"one tick before {backoff} have passed");
        Assert.That(exception!.RetryAt, Is.EqualTo(app.Time.GetUtcNow() + s_tick));
        app.Time.Advance(s_tick);
    }

    /// <summary>A clock on the wall that somebody may set, and a monotonic one that nobody can.</summary>
    private sealed class SettableClock : TimeProvider
    {
        public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

        public TimeSpan WallClockIsOff { get; set; }

        public override long TimestampFrequency => Time.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => Time.GetUtcNow() + WallClockIsOff;

        public override long GetTimestamp() => Time.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            Time.CreateTimer(callback, state, dueTime, period);
    }
}
