using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 4.1, 4.2, 4.3, 4.6 and 4.7: what a 401 from the API does, and what it costs.</summary>
public class UnauthorizedTests
{
    private static readonly HttpStatusCode[] s_notA401 =
    [
        HttpStatusCode.OK, HttpStatusCode.NoContent, HttpStatusCode.NotModified, HttpStatusCode.BadRequest, HttpStatusCode.PaymentRequired,
        HttpStatusCode.Forbidden, HttpStatusCode.NotFound, HttpStatusCode.ProxyAuthenticationRequired, (HttpStatusCode)419,
        HttpStatusCode.TooManyRequests, HttpStatusCode.InternalServerError, HttpStatusCode.BadGateway, HttpStatusCode.ServiceUnavailable,
    ];

    [TestCase(HttpStatusCode.OK)]
    [TestCase(HttpStatusCode.Unauthorized)]
    [TestCase(HttpStatusCode.Forbidden)]
    [TestCase(HttpStatusCode.InternalServerError)]
    public async Task After_a_401_the_token_is_renewed_once_and_the_request_sent_again_once_and_its_answer_handed_over(HttpStatusCode second)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        var tokens = new List<string?>();
        sparkfly.OnApiRequest = (request, _) =>
        {
            tokens.Add(InMemorySparkfly.TokenOf(request));
            return Task.FromResult<HttpResponseMessage?>(InMemorySparkfly.Status(tokens.Count == 1 ? HttpStatusCode.Unauthorized : second));
        };

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(second));
        Assert.That(tokens, Has.Count.EqualTo(2), "sends");
        Assert.That(tokens, Is.Unique, "the second send has the new token");
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "token requests");
    }

    [TestCaseSource(nameof(s_notA401))]
    public async Task Nothing_but_a_401_renews_or_sends_again(HttpStatusCode status)
    {
        var sparkfly = new InMemorySparkfly { OnApiRequest = (_, _) => Task.FromResult<HttpResponseMessage?>(InMemorySparkfly.Status(status)) };
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(status));
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(1), "sends");
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests");
    }

    [Test]
    public async Task A_thousand_requests_in_flight_when_their_token_is_revoked_cost_one_POST()
    {
        const int Calls = 1000;
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App(client: static client => client
            .RemoveAllLoggers()
            .ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { MaxConnectionsPerServer = Calls }));
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();
        var revoked = new Gate();
        var arrived = new Counter();
        server.OnApiRequest = async _ =>
        {
            arrived.Increment();
            await revoked.Opened.WaitAsync(TestApp.Patience);
            return false;
        };

        Task<HttpResponseMessage>[] calls = [.. Enumerable.Range(0, Calls).Select(_ => Task.Run(() => client.GetAsync("offers")))];
        await arrived.Reaches(Calls);
        server.RevokeTokens();
        revoked.Open();
        HttpResponseMessage[] responses = await Task.WhenAll(calls).WaitAsync(TestApp.Patience);

        Assert.That(responses.Count(static r => r.StatusCode == HttpStatusCode.OK), Is.EqualTo(Calls));
        Assert.That(server.TokenRequests, Is.EqualTo(2), "the first token, and one renewal");
        Assert.That(server.ApiRequests, Is.EqualTo(2 * Calls));
    }

    [Test]
    public async Task A_straggler_however_late_takes_the_token_that_has_replaced_its_own_at_no_cost()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        var late = new Gate();
        sparkfly.OnApiRequest = async (request, cancellationToken) =>
        {
            if (request.RequestUri!.AbsolutePath.EndsWith("/late", StringComparison.Ordinal))
            {
                bool wasGood = sparkfly.IsGood(InMemorySparkfly.TokenOf(request));
                await late.Opened.WaitAsync(TestApp.Patience, cancellationToken);
                return InMemorySparkfly.Status(wasGood && sparkfly.IsGood(InMemorySparkfly.TokenOf(request)) ? HttpStatusCode.OK : HttpStatusCode.Unauthorized);
            }

            return null;
        };

        await app.Tokens.GetTokenAsync();
        Task<HttpResponseMessage>[] stragglers = [.. Enumerable.Range(0, 20).Select(_ => client.GetAsync("late"))];
        await sparkfly.ApiRequests.Reaches(20);
        sparkfly.Revoke();
        (await client.GetAsync("offers")).Dispose();
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "the renewal that another request forced");

        // Twelve hours on, past every interval, the new token is still the one to use.
        app.Time.Advance(TimeSpan.FromHours(12));
        late.Open();
        foreach (Task<HttpResponseMessage> straggler in stragglers)
        {
            using HttpResponseMessage response = await straggler.WaitAsync(TestApp.Patience);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "after the stragglers");
    }

    [Test]
    public async Task Two_waves_of_revocation_cost_two_renewals()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();

        for (int wave = 1; wave <= 2; wave++)
        {
            sparkfly.Revoke();
            HttpResponseMessage[] responses = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(() => client.GetAsync("offers"))))
                .WaitAsync(TestApp.Patience);

            Assert.That(responses.Count(static r => r.StatusCode == HttpStatusCode.OK), Is.EqualTo(100), $"wave {wave}");
            Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1 + wave), $"after wave {wave}");
            app.Time.Advance(TimeSpan.FromSeconds(30));
        }
    }

    [Test]
    public async Task Who_asks_while_a_rejected_token_is_being_replaced_waits_for_the_new_one_rather_than_collect_a_401()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();
        sparkfly.Revoke();
        Gate gate = sparkfly.HoldTokenRequests();

        Task<HttpResponseMessage> rejected = client.GetAsync("offers");
        await sparkfly.TokenRequests.Reaches(2);
        Task<HttpResponseMessage>[] later = [.. Enumerable.Range(0, 10).Select(_ => client.GetAsync("offers"))];
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(1), "sent while the renewal is under way");
        gate.Open();

        foreach (Task<HttpResponseMessage> call in (Task<HttpResponseMessage>[])[rejected, .. later])
        {
            using HttpResponseMessage response = await call.WaitAsync(TestApp.Patience);
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(12), "the rejected one twice, the others once");
    }

    [Test]
    public async Task An_endpoint_that_refuses_every_token_costs_two_POSTs_in_two_hundred_calls_and_harms_no_other()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        RefuseAlways(sparkfly, "/refusing");

        for (int i = 0; i < 200; i++)
        {
            using HttpResponseMessage refused = await client.GetAsync("refusing");
            using HttpResponseMessage good = await client.GetAsync("offers");
            Assert.That(refused.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), $"call {i}");
            Assert.That(good.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"another endpoint, call {i}");
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(401), "one of the refused was sent again");
    }

    [Test]
    public async Task Two_hundred_concurrent_calls_to_an_endpoint_that_refuses_every_token_cost_two_POSTs()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        RefuseAlways(sparkfly, "/refusing");

        HttpResponseMessage[] responses = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => Task.Run(() => client.GetAsync("refusing"))))
            .WaitAsync(TestApp.Patience);

        Assert.That(responses.Count(static r => r.StatusCode == HttpStatusCode.Unauthorized), Is.EqualTo(200));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_401_may_force_a_renewal_again_when_UnauthorizedRefreshInterval_has_passed()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.UnauthorizedRefreshInterval = TimeSpan.FromSeconds(40));
        using HttpClient client = app.Client();
        RefuseAlways(sparkfly, "/refusing");
        (await client.GetAsync("refusing")).Dispose();
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "the first token and the forced renewal");

        app.Time.Advance(TimeSpan.FromSeconds(40) - TimeSpan.FromTicks(1));
        (await client.GetAsync("refusing")).Dispose();
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "one tick before the interval's end");

        app.Time.Advance(TimeSpan.FromTicks(1));
        (await client.GetAsync("refusing")).Dispose();
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(3), "at the interval's end");
    }

    [Test]
    public async Task A_401_within_the_interval_is_handed_over_also_where_the_token_was_revoked_in_truth()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();
        sparkfly.Revoke();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();

        using HttpResponseMessage within = await client.GetAsync("offers");
        app.Time.Advance(TimeSpan.FromSeconds(30));
        using HttpResponseMessage after = await client.GetAsync("offers");

        Assert.That(within.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(after.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(3));
    }

    [Test]
    public async Task With_an_interval_of_zero_every_401_may_force_a_renewal()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.UnauthorizedRefreshInterval = TimeSpan.Zero);
        using HttpClient client = app.Client();
        RefuseAlways(sparkfly, "/refusing");

        for (int i = 0; i < 10; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("refusing");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(11), "the first token, and one renewal for each call");
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(20), "each call is sent again once, not more");
    }

    [Test]
    public async Task Without_RetryOnUnauthorized_the_401_comes_through_and_the_next_request_has_a_new_token()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.RetryOnUnauthorized = false);
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();

        using HttpResponseMessage rejected = await client.GetAsync("offers");
        Assert.That(rejected.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(2), "nothing was sent again");

        using HttpResponseMessage next = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        Assert.That(next.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(3));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task Without_RetryOnUnauthorized_the_401_does_not_wait_for_the_renewal_but_the_next_request_does()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.RetryOnUnauthorized = false);
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();
        Gate gate = sparkfly.HoldTokenRequests();

        using HttpResponseMessage rejected = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        Assert.That(rejected.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Task<HttpResponseMessage> next = client.GetAsync("offers");
        Assert.That(next.IsCompleted, Is.False);
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(2), "the next request has not left yet");
        gate.Open();

        using HttpResponseMessage response = await next.WaitAsync(TestApp.Patience);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task Without_RetryOnUnauthorized_a_renewal_that_fails_is_a_warning()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.RetryOnUnauthorized = false);
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();
        sparkfly.Fail();

        using HttpResponseMessage rejected = await client.GetAsync("offers").WaitAsync(TestApp.Patience);

        Assert.That(rejected.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        await Fleet.Until(() => app.Log.Any(static l => l.StartsWith("[Warning] Sparkfly.Auth.Handler[22]", StringComparison.Ordinal)), "the warning");
    }

    /// <summary>Rule 3.5: the new token may be meant for another origin than the message.</summary>
    [Test]
    public async Task If_the_account_has_moved_to_another_origin_in_between_the_401_is_the_callers()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();
        Gate gate = sparkfly.HoldTokenRequests();

        Task<HttpResponseMessage> sending = client.GetAsync("offers");
        await sparkfly.TokenRequests.Reaches(2);
        sparkfly.Reload("BaseAddress", "https://moved.test/v1.0");
        gate.Open();
        using HttpResponseMessage rejected = await sending.WaitAsync(TestApp.Patience);

        Assert.That(rejected.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(2), "it was not sent again");
        Assert.That(app.Log, Has.One.Contains("the account's BaseAddress has changed in between"));
    }

    [TestCase(HttpStatusCode.Unauthorized)]
    [TestCase(HttpStatusCode.ServiceUnavailable)]
    public async Task If_the_renewal_fails_the_caller_gets_the_exception_that_says_why(HttpStatusCode status)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        sparkfly.Revoke();
        sparkfly.Fail(status);

        SparkflyAuthenticationException? exception =
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("offers").WaitAsync(TestApp.Patience));

        Assert.That(exception!.AuthStatusCode, Is.EqualTo(status));
        Assert.That(exception.StatusCode, Is.Null);
        Assert.That(exception.Message, Does.Contain($"{(int)status}"));
        Assert.That(sparkfly.ApiRequests.Value, Is.EqualTo(2), "nothing is sent again without a new token");
    }

    [Test]
    public async Task A_forced_renewal_that_fails_takes_the_token_away_from_no_other_endpoint()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        RefuseAlways(sparkfly, "/refusing");
        sparkfly.Fail();

        for (int i = 0; i < 5; i++)
        {
            await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("refusing"));
            using HttpResponseMessage good = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
            Assert.That(good.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"call {i}");
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "the backoff holds for forced renewals too");
    }

    [Test]
    public async Task Once_a_forced_renewal_has_failed_nobody_else_waits_for_later_attempts()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(static options => options.AuthTimeout = TimeSpan.FromDays(1));
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();
        RefuseAlways(sparkfly, "/refusing");
        sparkfly.Fail();
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => client.GetAsync("refusing"));
        app.Time.Advance(TimeSpan.FromSeconds(1));
        Gate gate = sparkfly.HoldTokenRequests();

        Task<HttpResponseMessage> refused = client.GetAsync("refusing");
        await sparkfly.TokenRequests.Reaches(3);
        using HttpResponseMessage good = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
        Assert.That(good.StatusCode, Is.EqualTo(HttpStatusCode.OK), "while the second attempt hangs");
        Assert.That(refused.IsCompleted, Is.False, "whose token was rejected waits");

        sparkfly.Recover();
        gate.Open();
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => refused.WaitAsync(TestApp.Patience));
    }

    [Test]
    public async Task A_token_that_outlived_a_failed_renewal_still_ends_at_its_end()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        sparkfly.Fail();
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(token).AsTask());
        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(token));

        app.Time.SetUtcNow(token.ExpiresAt);
        await Assert.ThrowsAsync<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
    }

    [Test]
    public async Task A_rejected_token_is_recognized_by_its_value_and_its_time()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();

        SparkflyToken kept = await app.Tokens.RenewTokenAsync(new SparkflyToken(token.Value, token.ObtainedAt.AddHours(-1), token.ExpiresAt));
        Assert.That(kept, Is.SameAs(token), "an earlier one of the same value was rejected");

        SparkflyToken renewed = await app.Tokens.RenewTokenAsync(new SparkflyToken(token.Value, token.ObtainedAt, token.ExpiresAt));
        Assert.That(renewed.Value, Is.Not.EqualTo(token.Value), "this one was rejected");
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task Rejecting_nothing_is_a_mistake_of_the_caller()
    {
        await using TestApp app = new InMemorySparkfly().App();
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await app.Tokens.RenewTokenAsync(null!));
    }

    private static void RefuseAlways(InMemorySparkfly sparkfly, string path) =>
        sparkfly.OnApiRequest = (request, _) => Task.FromResult(request.RequestUri!.AbsolutePath.EndsWith(path, StringComparison.Ordinal)
            ? InMemorySparkfly.Status(HttpStatusCode.Unauthorized)
            : null);
}
