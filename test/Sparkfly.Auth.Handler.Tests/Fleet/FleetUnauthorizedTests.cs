using System.Net;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 7.1, 4.1 and 4.3: a 401 in a fleet.</summary>
public class FleetUnauthorizedTests
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(30);

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly SharedCache _cache = new();
    private readonly List<(string? Token, byte[] Body)> _sends = [];

    [Test]
    public async Task A_newer_token_of_the_fleets_is_taken_and_tried_without_a_POST()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        (Instance first, Instance second) = (fleet.Add(), fleet.Add());
        await first.GetTokenAsync();
        await second.GetTokenAsync();
        fleet.Advance(TimeSpan.FromMinutes(1));
        _sparkfly.Revoke();
        await first.CallAsync();
        int before = _sparkfly.TokenRequests.Value;

        HttpStatusCode status = await second.CallAsync();

        Assert.That(status, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(before), "token requests");
        Assert.That((await second.GetTokenAsync()).Value, Is.EqualTo((await first.GetTokenAsync()).Value));
    }

    [TestCase("bytes")]
    [TestCase("one-way stream")]
    public async Task Where_the_fleets_token_is_rejected_too_there_is_one_POST_and_one_more_send_of_the_same_bytes(string kind)
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance second = await WithAStaleTokenBesideANewerOneAsync(fleet);
        _sparkfly.Revoke();
        NoteSends();

        HttpStatusCode status = await PostAsync(second, kind);

        Assert.That(status, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sends.Select(static s => s.Token), Is.Unique, "tokens");
        Assert.That(_sends, Has.Count.EqualTo(3), "sends");
        Assert.That(_sends.Select(static s => s.Body), Is.All.EqualTo(Bodies.Bytes(5000)), "bodies");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests: a cold start, a revocation, and this one");
    }

    [Test]
    public async Task There_are_three_sends_in_all_and_never_four()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance second = await WithAStaleTokenBesideANewerOneAsync(fleet);
        NoteSends(HttpStatusCode.Unauthorized);

        HttpStatusCode status = await PostAsync(second, "bytes");

        Assert.That(status, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(_sends, Has.Count.EqualTo(3), "sends");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests");
    }

    [Test]
    public async Task Three_sends_are_the_most_also_where_the_third_token_is_the_fleets_again()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance second = await WithAStaleTokenBesideANewerOneAsync(fleet);
        Instance first = fleet.Instances[0];
        _sparkfly.OnApiRequest = async (request, _) =>
        {
            _sends.Add((InMemorySparkfly.TokenOf(request), []));

            // At each send another instance has got a newer one.
            fleet.Advance(TimeSpan.FromMinutes(1));
            await first.RenewTokenAsync(await first.GetTokenAsync());
            return InMemorySparkfly.Status(HttpStatusCode.Unauthorized);
        };

        HttpStatusCode status = await PostAsync(second, "bytes");

        Assert.That(status, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(_sends, Has.Count.EqualTo(3), "sends");
    }

    [Test]
    public async Task An_older_token_of_the_fleets_is_never_taken()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance instance = fleet.Add();
        await instance.GetTokenAsync();
        byte[] older = _cache[_cache.TokenKey];
        fleet.Advance(TimeSpan.FromMinutes(1));
        _sparkfly.Revoke();
        await instance.CallAsync();
        _cache[_cache.TokenKey] = older;
        fleet.Advance(TimeSpan.FromMinutes(1));
        _sparkfly.Revoke();
        NoteSends();

        HttpStatusCode status = await PostAsync(instance, "bytes");

        Assert.That(status, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sends, Has.Count.EqualTo(2), "sends");
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests");
    }

    [Test]
    public async Task An_endpoint_that_rejects_every_token_costs_the_fleet_one_forced_renewal_an_interval()
    {
        RejectForbidden();
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance[] instances = fleet.Add(10);
        foreach (Instance instance in instances)
        {
            await instance.GetTokenAsync();
        }

        fleet.Advance(TimeSpan.FromHours(1));
        for (int interval = 1; interval <= 4; interval++)
        {
            for (int call = 0; call < 3; call++)
            {
                foreach (Instance instance in instances)
                {
                    Assert.That(await instance.CallAsync("forbidden"), Is.EqualTo(HttpStatusCode.Unauthorized));
                    Assert.That(await instance.CallAsync("offers"), Is.EqualTo(HttpStatusCode.OK), "other endpoints");
                }
            }

            Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(1 + interval), $"token requests after {interval} intervals");
            fleet.Advance(s_interval + TimeSpan.FromSeconds(5));
        }
    }

    /// <summary>Its interval starts when the fleet was forced to renew, and not when it was told so.</summary>
    [Test]
    public async Task An_instance_that_kept_the_fleets_token_uses_it_and_forces_a_renewal_when_the_fleets_interval_is_over()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        (Instance second, _) = await WithTheTokenOfAForcedRenewalAsync(fleet);

        fleet.Advance(s_interval - TimeSpan.FromSeconds(10));
        Assert.That(await second.CallAsync("forbidden"), Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await second.CallAsync(), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests: a cold start, a forced renewal");

        fleet.Advance(TimeSpan.FromSeconds(11));
        Assert.That(await second.CallAsync("forbidden"), Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests after the interval");
    }

    [Test]
    public async Task A_request_that_waits_while_the_fleet_is_asked_goes_on_with_the_token_that_stays()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        (Instance second, SparkflyToken token) = await WithTheTokenOfAForcedRenewalAsync(fleet);
        var asked = new Counter();
        var gate = new Gate();
        _cache.Before = (_, _, _, _) =>
        {
            asked.Increment();
            return gate.Opened;
        };

        Task<HttpStatusCode> rejected = second.CallAsync("forbidden");
        await asked.Reaches(1);
        Task<HttpStatusCode> waiting = second.CallAsync();
        Task<SparkflyToken> getting = second.GetTokenAsync();
        Assert.That(getting.IsCompleted, Is.False, "a rejected token is set aside");
        gate.Open();

        Assert.That(await rejected, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await waiting, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await getting, Is.SameAs(token));
        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests: a cold start, a forced renewal");
    }

    [Test]
    public async Task A_renewal_ahead_of_expiry_does_not_end_the_fleets_interval()
    {
        await using var fleet = new Fleet(_sparkfly, _cache);
        Instance first = fleet.Add(WithALongInterval);
        SparkflyToken token = await first.GetTokenAsync();
        fleet.Advance(TimeSpan.FromMinutes(1));
        await first.RenewTokenAsync(token);
        fleet.Advance(TimeSpan.FromMinutes(54.9));
        token = await first.RenewAheadAsync();
        Instance second = fleet.Add(WithALongInterval, ahead: TimeSpan.FromMinutes(55.9));
        Assert.That((await second.GetTokenAsync()).Value, Is.EqualTo(token.Value));
        _sparkfly.Revoke();

        Assert.That(await second.CallAsync(), Is.EqualTo(HttpStatusCode.Unauthorized));

        Assert.That(_sparkfly.TokenRequests.Value, Is.EqualTo(3), "token requests: a cold start, a forced renewal, one ahead of expiry");

        static void WithALongInterval(SparkflyAuthOptions options)
        {
            options.TokenLifetime = TimeSpan.FromHours(1);
            options.UnauthorizedRefreshInterval = TimeSpan.FromHours(2);
        }
    }

    [Test]
    public async Task The_interval_holds_for_instances_whose_clocks_are_apart()
    {
        const int Minutes = 10;
        NoteSends(HttpStatusCode.Unauthorized);
        await using var fleet = new Fleet(_sparkfly, _cache);
        foreach (int seconds in (int[])[0, 17, 45, 80, 119])
        {
            await fleet.Add(ahead: TimeSpan.FromSeconds(seconds)).GetTokenAsync();
        }

        for (int second = 0; second < Minutes * 60; second += 5)
        {
            foreach (Instance instance in fleet.Instances)
            {
                await instance.CallAsync();
            }

            fleet.Advance(TimeSpan.FromSeconds(5));
        }

        // One an interval, and at the beginning one each at most, until that of the instance furthest ahead is in the entry.
        Assert.That(_sparkfly.TokenRequests.Value, Is.LessThanOrEqualTo(1 + (Minutes * 2) + 5), $"token requests in {Minutes} minutes");
    }

    [Test]
    public async Task A_forced_renewal_that_did_not_happen_leaves_nothing_behind_in_memory()
    {
        NoteSends(HttpStatusCode.Unauthorized);
        await using var fleet = new Fleet(_sparkfly, _cache);
        (Instance ahead, Instance instance) = (fleet.Add(ahead: TimeSpan.FromSeconds(90)), fleet.Add());
        await ahead.GetTokenAsync();
        SparkflyToken token = await instance.GetTokenAsync();
        await ahead.CallAsync();
        await instance.CallAsync();
        SparkflyToken rejected = await instance.GetTokenAsync();
        fleet.Advance(TimeSpan.FromMinutes(4));

        SparkflyToken renewed = await instance.RenewTokenAsync(rejected);

        Assert.That(renewed.Value, Is.Not.EqualTo(rejected.Value).And.Not.EqualTo(token.Value));
    }

    /// <summary>The second instance has the first token, the store the second.</summary>
    private static async Task<Instance> WithAStaleTokenBesideANewerOneAsync(Fleet fleet)
    {
        (Instance first, Instance second) = (fleet.Add(), fleet.Add());
        SparkflyToken token = await first.GetTokenAsync();
        await second.GetTokenAsync();
        fleet.Advance(TimeSpan.FromMinutes(1));
        await first.RenewTokenAsync(token);
        fleet.Advance(TimeSpan.FromMinutes(1));
        return second;
    }

    /// <summary>The second instance has the token of a renewal that the first was forced to make just now, by an endpoint that rejects every token.</summary>
    private async Task<(Instance Second, SparkflyToken Token)> WithTheTokenOfAForcedRenewalAsync(Fleet fleet)
    {
        RejectForbidden();
        (Instance first, Instance second) = (fleet.Add(), fleet.Add());
        await first.GetTokenAsync();
        fleet.Advance(TimeSpan.FromHours(1));
        await first.CallAsync("forbidden");
        return (second, await second.GetTokenAsync());
    }

    /// <summary>One endpoint rejects every token, and the others do not.</summary>
    private void RejectForbidden() => _sparkfly.OnApiRequest = static (request, _) => Task.FromResult(
        request.RequestUri!.AbsolutePath.EndsWith("/forbidden", StringComparison.Ordinal) ? InMemorySparkfly.Status(HttpStatusCode.Unauthorized) : null);

    private void NoteSends(HttpStatusCode? status = null) => _sparkfly.OnApiRequest = async (request, cancellationToken) =>
    {
        byte[] body = request.Content is { } content ? await content.ReadAsByteArrayAsync(cancellationToken) : [];
        lock (_sends)
        {
            _sends.Add((InMemorySparkfly.TokenOf(request), body));
        }

        return status is { } fixedStatus ? InMemorySparkfly.Status(fixedStatus) : null;
    };

    private static async Task<HttpStatusCode> PostAsync(Instance instance, string kind)
    {
        using HttpClient client = instance.App.Client();
        using HttpContent content = kind == "bytes"
            ? new ByteArrayContent(Bodies.Bytes(5000))
            : new StreamContent(new OneWayStream(Bodies.Bytes(5000)));
        using HttpResponseMessage response = await client.PostAsync("offers", content).WaitAsync(TestApp.Patience);
        return response.StatusCode;
    }
}
