namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 7.1 and 3.4: clocks of a fleet may be two minutes apart.</summary>
public class FleetClockTests
{
    private static readonly TimeSpan s_usableLife = TimeSpan.FromDays(1) - TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_skew = TimeSpan.FromMinutes(2);

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly SharedCache _cache = new();

    /// <summary>What is true is how long ago the token was asked for; both clocks go right from wherever they stand.</summary>
    [Test]
    public async Task No_instance_uses_a_token_at_or_after_its_true_end_nor_gives_up_more_than_four_minutes_of_it(
        [Values(-120, -60, 0, 60, 120)] int ahead, [Values(0, 30, 119, 121, 3600, 72000)] int takenAfter)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance asked = fleet.Add(WithoutRenewalAhead, ahead: TimeSpan.FromSeconds(Math.Max(0, -ahead)));
        Instance taker = fleet.Add(WithoutRenewalAhead, ahead: TimeSpan.FromSeconds(Math.Max(0, ahead)));
        long start = asked.Clock.GetTimestamp();
        SparkflyToken token = await asked.GetTokenAsync();
        taker.Clock.Advance(asked.Clock.GetElapsedTime(start));
        fleet.Advance(TimeSpan.FromSeconds(takenAfter));
        Assert.That((await taker.GetTokenAsync()).Value, Is.EqualTo(token.Value), "taken");

        TimeSpan TrueAge() => asked.Clock.GetUtcNow() - token.ObtainedAt;
        fleet.Advance(s_usableLife - (2 * s_skew) - TimeSpan.FromSeconds(1) - TrueAge());
        Assert.That((await taker.GetTokenAsync()).Value, Is.EqualTo(token.Value), "more than four minutes before its end");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");

        fleet.Advance(s_usableLife - TrueAge());
        Assert.That((await taker.GetTokenAsync()).Value, Is.Not.EqualTo(token.Value), "at its end");
    }

    [Test]
    public async Task A_shared_token_ends_two_minutes_earlier_than_for_the_instance_that_asked()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        SparkflyToken own = await fleet.Add().GetTokenAsync();
        Instance later = fleet.Add();
        later.Clock.Advance(TimeSpan.FromHours(1));

        SparkflyToken shared = await later.GetTokenAsync();

        Assert.That(own.ExpiresAt - shared.ExpiresAt, Is.EqualTo(s_skew));
        Assert.That(shared.ObtainedAt, Is.EqualTo(own.ObtainedAt));
    }

    [Test]
    public async Task A_token_of_an_instance_whose_clock_is_ahead_counts_from_when_it_is_taken()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add(ahead: TimeSpan.FromMinutes(1)).GetTokenAsync();
        Instance taker = fleet.Add();

        SparkflyToken token = await taker.GetTokenAsync();

        Assert.That(token.ObtainedAt, Is.EqualTo(taker.Clock.GetUtcNow()));
        Assert.That(token.ExpiresAt, Is.EqualTo(taker.Clock.GetUtcNow() + s_usableLife - s_skew));
    }

    [Test]
    public async Task A_token_whose_life_is_over_is_not_taken_however_long_the_cache_keeps_it()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add().GetTokenAsync();

        SparkflyToken token = await fleet.Add(ahead: TimeSpan.FromDays(1)).GetTokenAsync();

        Assert.That(token.ObtainedAt, Is.EqualTo(fleet.Instances[1].Clock.GetUtcNow()).Within(TimeSpan.FromMinutes(1)));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [TestCase(120, 1)]
    [TestCase(121, 2)]
    public async Task A_token_that_was_obtained_further_in_the_future_than_clocks_may_be_apart_is_not_taken(int ahead, int tokenRequests)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        SparkflyToken token = await fleet.Add(ahead: TimeSpan.FromHours(1)).GetTokenAsync();
        Instance taker = fleet.Add();
        DateTimeOffset start = token.ObtainedAt - TimeSpan.FromSeconds(ahead);
        taker.Clock.SetUtcNow(start);

        await taker.GetTokenAsync();

        Assert.That(taker.Clock.GetUtcNow() == start, Is.EqualTo(tokenRequests == 1), "taken at the first look");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(tokenRequests), "token requests");
    }

    [TestCase(-90)]
    [TestCase(90)]
    public async Task A_revocation_is_got_over_by_instances_whose_clocks_are_apart(int ahead)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance one = fleet.Add(ahead: TimeSpan.FromSeconds(Math.Max(0, -ahead)));
        Instance two = fleet.Add(ahead: TimeSpan.FromSeconds(Math.Max(0, ahead)));
        await one.GetTokenAsync();
        await two.GetTokenAsync();

        _sparkfly.Revoke();

        foreach (Instance instance in (Instance[])[one, two, one, two])
        {
            Assert.That(await instance.CallAsync(), Is.EqualTo(System.Net.HttpStatusCode.OK));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.LessThanOrEqualTo(3), "token requests: a cold start and two at most");
    }

    [TestCase(20, 0)]
    [TestCase(0, 20)]
    [TestCase(119, 0)]
    public async Task A_revocation_moments_after_the_token_was_obtained_costs_the_fleet_one_POST_whichever_clock_is_ahead(int asked, int others)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        await fleet.Add(ahead: TimeSpan.FromSeconds(asked)).GetTokenAsync();
        for (int i = 0; i < 3; i++)
        {
            await fleet.Add(ahead: TimeSpan.FromSeconds(others + i)).GetTokenAsync();
        }

        _sparkfly.Revoke();
        foreach (Instance instance in fleet.Instances.Reverse())
        {
            Assert.That(await instance.CallAsync(), Is.EqualTo(System.Net.HttpStatusCode.OK));
        }

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests of a cold start and a revocation");
    }

    private static void WithoutRenewalAhead(SparkflyAuthOptions options) => options.RefreshAhead = TimeSpan.Zero;
}
