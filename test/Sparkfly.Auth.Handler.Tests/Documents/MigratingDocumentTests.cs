using System.Collections.Concurrent;
using System.Net;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/migrating.md: its hand-written handler and the application after the move, compiled from the page and run.</summary>
public class MigratingDocumentTests
{
    private const string Page = "docs/migrating.md";

    /// <summary>The application of the page.</summary>
    public enum Application
    {
        HandWritten,
        Migrated,
    }

    [Test]
    public async Task Both_call_with_one_token([Values] Application application)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using Running running = await Running.StartAsync(application, server);

        await running.CallAsync();
        await running.CallAsync();

        Assert.That(seen.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/offers", "/v1.0/offers"]));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [TestCase(Application.HandWritten, 3)]
    [TestCase(Application.Migrated, 2)]
    public async Task A_late_401_for_a_token_that_was_replaced_costs(Application application, int tokenRequests)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using Running running = await Running.StartAsync(application, server);
        await running.CallAsync();
        server.RevokeTokens();
        Gate[] gates = [new(), new()];
        var arrived = new Counter();
        int count = 0;
        server.OnApiRequest = async context =>
        {
            if (server.IsGood(context.Request.Headers["X-Auth-Token"]))
            {
                return false;
            }

            Gate gate = gates[Interlocked.Increment(ref count) - 1];
            arrived.Increment();
            await gate.Opened;
            context.Response.StatusCode = 401;
            return true;
        };

        Task<HttpStatusCode>[] calls = [running.CallAsync(), running.CallAsync()];
        await arrived.Reaches(2);
        gates[0].Open();
        await Task.WhenAny(calls).WaitAsync(TestApp.Patience);
        gates[1].Open();

        Assert.That(await Task.WhenAll(calls).WaitAsync(TestApp.Patience), Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(tokenRequests));
    }

    [TestCase(Application.HandWritten, 6)]
    [TestCase(Application.Migrated, 2)]
    public async Task Five_calls_to_an_endpoint_that_always_answers_401_cost(Application application, int tokenRequests)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.Record(static context =>
        {
            context.Response.StatusCode = 401;
            return true;
        });
        await using Running running = await Running.StartAsync(application, server);

        for (int i = 0; i < 5; i++)
        {
            Assert.That(await running.CallAsync(), Is.EqualTo(HttpStatusCode.Unauthorized));
        }

        Assert.That(server.TokenRequests, Is.EqualTo(tokenRequests));
    }

    [TestCase(Application.HandWritten, 5, typeof(InvalidOperationException))]
    [TestCase(Application.Migrated, 1, typeof(SparkflyAuthenticationException))]
    public async Task Five_calls_with_wrong_credentials_cost(Application application, int tokenRequests, Type exception)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using Running running = await Running.StartAsync(application, server, ("Sparkfly:Key", SecretSweep.NewSecret("key")));

        for (int i = 0; i < 5; i++)
        {
            Assert.That(async () => await running.CallAsync(), Throws.TypeOf(exception));
        }

        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((tokenRequests, 0)));
    }

    [TestCase(Application.HandWritten, 2)]
    [TestCase(Application.Migrated, 1)]
    public async Task A_caller_that_cancels_while_another_waits_for_the_token_costs(Application application, int tokenRequests)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var gate = new Gate();
        var arrived = new Counter();
        server.OnTokenRequest = async _ =>
        {
            arrived.Increment();
            await gate.Opened;
            return false;
        };
        await using Running running = await Running.StartAsync(application, server);
        using var cancellation = new CancellationTokenSource();

        Task<HttpStatusCode> cancelled = running.CallAsync(cancellation.Token);
        await arrived.Reaches(1);
        Task<HttpStatusCode> waiting = running.CallAsync();
        await cancellation.CancelAsync();
        Assert.That(async () => await cancelled.WaitAsync(TestApp.Patience), Throws.InstanceOf<OperationCanceledException>());
        gate.Open();

        Assert.That(await waiting.WaitAsync(TestApp.Patience), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(tokenRequests));
    }

    [Test]
    public async Task A_redirect_to_another_host_has_the_token_of_the_hand_written_handler_only([Values] Application application)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        server.Redirect("/v1.0/offers", other.Address.AbsoluteUri);
        await using Running running = await Running.StartAsync(application, server);

        await running.CallAsync();

        Assert.That(other.Requests.Single().Token is not null, Is.EqualTo(application == Application.HandWritten));
    }

    [Test]
    public async Task A_blocking_call_has_no_token_of_the_hand_written_handler([Values] Application application)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using Running running = await Running.StartAsync(application, server);
        using HttpClient client = running.Client();

        using HttpResponseMessage response = client.Send(new HttpRequestMessage(HttpMethod.Get, "offers"));

        Assert.That(seen.Single().Token is null, Is.EqualTo(application == Application.HandWritten));
    }

    [Test]
    public async Task A_one_way_stream_is_sent_again_after_a_401_by_the_package_only([Values] Application application)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using Running running = await Running.StartAsync(application, server);
        await running.CallAsync();
        server.RevokeTokens();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        using HttpClient client = running.Client();
        using var content = new StreamContent(new OneWayStream("one way"u8.ToArray()));

        if (application == Application.HandWritten)
        {
            Assert.That(
                async () => await client.PostAsync("offers", content),
                Throws.TypeOf<HttpRequestException>().With.InnerException.TypeOf<InvalidOperationException>());
            Assert.That(seen, Has.Count.EqualTo(1));
            return;
        }

        using HttpResponseMessage response = await client.PostAsync("offers", content);

        Assert.That(seen.Select(static s => s.Text()), Is.EqualTo((string[])["one way", "one way"]));
    }

    /// <summary>One of the page's two applications, against a stand-in.</summary>
    private sealed class Running : IAsyncDisposable
    {
        private readonly WebApplication _app;
        private readonly Type _client;

        private Running(WebApplication app, Type client) => (_app, _client) = (app, client);

        public static async Task<Running> StartAsync(Application application, StandInServer server, params (string Key, string? Value)[] changes)
        {
            CodeBlock[] blocks = [.. Markdown.Blocks(Page, "csharp")];
            CodeBlock program = blocks.Where(PageCompiler.IsProgram).ElementAt((int)application);
            WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
            builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
            builder.Configuration
                .AddConfiguration(Configured.For(server))
                .AddConfiguration(Configured.From([("Sparkfly:BaseAddress", server.BaseAddress.AbsoluteUri.TrimEnd('/')), .. changes]));
            Assembly assembly = PageCompiler.Run(program, blocks.Where(b => b != program), builder);
            WebApplication app = builder.Build();
            await app.StartAsync();
            return new Running(app, assembly.GetType("OffersClient")!);
        }

        public async Task<HttpStatusCode> CallAsync(CancellationToken cancellationToken = default)
        {
            object offers = _app.Services.GetRequiredService(_client);
            using HttpResponseMessage response = await _client.GetMethod("GetOffersAsync")!
                .CreateDelegate<Func<CancellationToken, Task<HttpResponseMessage>>>(offers)(cancellationToken);
            return response.StatusCode;
        }

        public HttpClient Client() => _app.Services.GetRequiredService<IHttpClientFactory>().CreateClient("OffersClient");

        public async ValueTask DisposeAsync()
        {
            using var now = new CancellationTokenSource(TimeSpan.Zero);
            await _app.StopAsync(now.Token);
            await _app.DisposeAsync();
        }
    }
}
