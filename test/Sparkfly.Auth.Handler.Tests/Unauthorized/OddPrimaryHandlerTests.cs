using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 4.1, 4.4 and 4.7 over a primary handler or a token provider that does what the platform's and ours do not.</summary>
public class OddPrimaryHandlerTests
{
    private readonly InMemorySparkfly _sparkfly = new();

    /// <summary>A mock is often told to return one object: <c>ReturnsAsync(new HttpResponseMessage(HttpStatusCode.Unauthorized))</c>.</summary>
    [Test]
    public async Task A_primary_handler_that_answers_always_with_one_401_object_gives_the_caller_a_401_that_can_be_read(
        [Values("nothing", "text", "stream", "JSON")] string body, [Values] bool isRenewedAtOnce, [Values] bool isAsync)
    {
        using var response = new HttpResponseMessage(HttpStatusCode.Unauthorized)
        {
            Content = body switch
            {
                "text" => new StringContent("no"),
                "stream" => new StreamContent(new MemoryStream("no"u8.ToArray())),
                "JSON" => JsonContent.Create("no"),
                _ => null,
            },
        };
        using var primary = new FakePrimary(_ => response);
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary),
            register: services =>
            {
                if (isRenewedAtOnce)
                {
                    services.AddSingleton<ISparkflyTokenProvider>(new NewTokenEachTime());
                }
            });
        using HttpClient client = app.Client();

        for (int call = 1; call <= 2; call++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            HttpResponseMessage handedOver = await client.SendAsync(request, isAsync);

            Assert.That(handedOver.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
            string text = await handedOver.Content.ReadAsStringAsync();
            if (body is "text" or "JSON")
            {
                Assert.That(text, Does.Contain("no"), "what the mock was told to answer");
            }
        }

        Assert.That(primary.Requests, Is.GreaterThan(2), "it was sent again");
    }

    /// <summary>Rule 4.4: the timer of <c>Expect: 100-continue</c> may run out in the moment in which the 401 comes.</summary>
    [Test]
    public async Task A_first_send_that_begins_with_the_body_only_when_it_has_ended_takes_nothing_away_from_the_second()
    {
        var bodies = new ConcurrentQueue<string>();
        HttpContent? first = null;
        using var primary = new ScriptedPrimaryHandler(async (request, _) =>
        {
            if (first is null)
            {
                first = request.Content;
                return new HttpResponseMessage(HttpStatusCode.Unauthorized) { RequestMessage = request };
            }

            Assert.That(async () => await first.CopyToAsync(Stream.Null), Throws.InvalidOperationException);
            bodies.Enqueue(await request.Content!.ReadAsStringAsync(CancellationToken.None));
            return new HttpResponseMessage { RequestMessage = request };
        });
        await using TestApp app = _sparkfly.App(
            static options => options.MaxReplayBodySize = 0, client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary));
        using HttpClient client = app.Client();
        int reads = 0;
        using var content = new OwnAsyncContent(async (_, stream) =>
        {
            Assert.That(++reads, Is.EqualTo(1), "it can be read once");
            await stream.WriteAsync("whole"u8.ToArray());
        });

        using HttpResponseMessage response = await client.PostAsync("offers", content);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(bodies, Is.EqualTo((string[])["whole"]));
    }

    [Test]
    public async Task A_provider_of_the_applications_own_that_fails_when_its_caller_has_gone_leaves_no_unobserved_exception()
    {
        var unobserved = new ConcurrentQueue<Exception>();
        EventHandler<UnobservedTaskExceptionEventArgs> note = (_, e) => unobserved.Enqueue(e.Exception);
        TaskScheduler.UnobservedTaskException += note;
        try
        {
            await CancelWhileRenewingAsync();
            for (int i = 0; i < 3; i++)
            {
                // In another stack, so that no variable of this one keeps the renewal alive.
                await Task.Yield();
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= note;
        }

        Assert.That(unobserved.Where(static e => e.InnerException is KeyNotFoundException), Is.Empty);
    }

    /// <summary>Rule 4.7, and what is counted: a message that was not sent again is not counted as sent again.</summary>
    [Test]
    public async Task A_provider_of_the_applications_own_that_renews_to_nothing_is_named_and_the_message_is_not_sent_again([Values] bool isAsync)
    {
        using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary),
            register: static services => services.AddSingleton<ISparkflyTokenProvider>(new NewTokenEachTime { RenewsToNothing = true }));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        Assert.That(async () => await client.SendAsync(request, isAsync), Throws.InvalidOperationException.With.Message.Contains(nameof(NewTokenEachTime)));
        Assert.That(primary.Requests, Is.EqualTo(1));
        Assert.That(app.Log, Has.None.Contains("sent again"));
    }

    // A method of its own, so that nothing of it is alive when the memory is collected.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private async Task CancelWhileRenewingAsync()
    {
        var tokens = new FailsLate();
        using var cancelled = new CancellationTokenSource();
        using var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary),
            register: services => services.AddSingleton<ISparkflyTokenProvider>(tokens));
        using HttpClient client = app.Client();
        tokens.OnRenewal = cancelled.Cancel;

        Assert.That(async () => await client.GetAsync("offers", cancelled.Token).WaitAsync(TestApp.Patience), Throws.InstanceOf<OperationCanceledException>());
        tokens.Fail();
    }

    private sealed class NewTokenEachTime : ISparkflyTokenProvider
    {
        public bool RenewsToNothing { get; init; }

        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
            new(new SparkflyToken(SecretSweep.NewSecret("token"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue));

        public ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default) =>
            RenewsToNothing ? default : GetTokenAsync(cancellationToken);
    }

    private sealed class FailsLate : ISparkflyTokenProvider
    {
        private readonly TaskCompletionSource _mayFail = new();

        public Action OnRenewal { get; set; } = static () => { };

        public ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default) =>
            new(new SparkflyToken(SecretSweep.NewSecret("token"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue));

        // The task is kept nowhere: the platform complains of an exception when the task is collected.
        public async ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default)
        {
            OnRenewal();
            await _mayFail.Task;
            throw new KeyNotFoundException("late");
        }

        public void Fail() => _mayFail.SetResult();
    }
}
