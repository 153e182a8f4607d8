using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.2: one token request at a time, however many wait.</summary>
public class SingleFlightTests
{
    private const int Callers = 1000;

    [Test]
    public async Task A_thousand_concurrent_first_requests_on_sockets_make_one_POST()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var everyoneIsOnTheWay = new Gate();
        server.OnTokenRequest = async _ =>
        {
            await everyoneIsOnTheWay.Opened.WaitAsync(TestApp.Patience);
            return false;
        };
        await using TestApp app = server.App(client: static client => client
            .RemoveAllLoggers()
            .ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { MaxConnectionsPerServer = 100 }));
        using HttpClient client = app.Client();

        var started = new Counter();
        Task<HttpStatusCode>[] calls = [.. Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
        {
            Task<HttpResponseMessage> sending = client.GetAsync("offers");
            started.Increment();
            using HttpResponseMessage response = await sending;
            return response.StatusCode;
        }))];
        await started.Reaches(Callers);
        everyoneIsOnTheWay.Open();
        HttpStatusCode[] statuses = await Task.WhenAll(calls).WaitAsync(TestApp.Patience);

        Assert.That(server.TokenRequests, Is.EqualTo(1), $"token requests for {Callers} callers");
        Assert.That(server.ApiRequests, Is.EqualTo(Callers), "no request was sent twice");
        Assert.That(statuses.Count(static s => s == HttpStatusCode.OK), Is.EqualTo(Callers));
    }

    [Test]
    public async Task A_thousand_threads_that_ask_the_provider_at_once_make_one_POST_and_get_one_token()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        ISparkflyTokenProvider tokens = app.Tokens;

        var asked = new Counter();
        Task<SparkflyToken>[] calls = [.. Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
        {
            ValueTask<SparkflyToken> asking = tokens.GetTokenAsync();
            asked.Increment();
            return await asking;
        }))];
        await asked.Reaches(Callers);
        gate.Open();
        SparkflyToken[] obtained = await Task.WhenAll(calls).WaitAsync(TestApp.Patience);

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), $"token requests for {Callers} callers");
        Assert.That(obtained.Distinct().Count(), Is.EqualTo(1), "different tokens");
    }

    [Test]
    public async Task Two_names_of_one_account_share_one_token_request()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App(register: services => sparkfly.AddAccount(services, "other name"));
        ISparkflyTokenProvider other = app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("other name");

        Task<SparkflyToken> first = app.Tokens.GetTokenAsync().AsTask();
        Task<SparkflyToken> second = other.GetTokenAsync().AsTask();
        await sparkfly.TokenRequests.Reaches(1);
        gate.Open();

        Assert.That(await second.WaitAsync(TestApp.Patience), Is.SameAs(await first.WaitAsync(TestApp.Patience)));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task Callers_that_come_while_a_request_is_under_way_wait_for_it_also_with_blocking_calls()
    {
        var sparkfly = new InMemorySparkfly();
        Gate gate = sparkfly.HoldTokenRequests();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        var started = new Counter();
        Task<HttpStatusCode>[] calls = [.. Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(
            () =>
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
                started.Increment();
                using HttpResponseMessage response = client.Send(request);
                return response.StatusCode;
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default))];
        await started.Reaches(4);
        await sparkfly.TokenRequests.Reaches(1);
        gate.Open();

        Assert.That(await Task.WhenAll(calls).WaitAsync(TestApp.Patience), Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }
}
