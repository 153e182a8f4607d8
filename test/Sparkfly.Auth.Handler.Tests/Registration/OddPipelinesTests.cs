using System.Collections.Concurrent;
using System.Net;
using System.Threading.Channels;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 5.1, 6.1, 6.4 and 6.8 in pipelines that nobody expects.</summary>
public class OddPipelinesTests
{
    private readonly InMemorySparkfly _sparkfly = new();

    /// <summary>Rules 5.1 and 6.1: the message has its way to its own client's handler with it, wherever the chain sends it from.</summary>
    [Test]
    public async Task A_chain_of_the_applications_own_that_sends_from_another_flow_sends_no_request_without_a_token(
        [Values] bool isSuppressedByTheCaller, [Values] bool isWarm)
    {
        var sent = new ConcurrentQueue<HttpRequestMessage>();
        var tokens = new ConcurrentQueue<string?>();
        using var network = new FakePrimary(request =>
        {
            sent.Enqueue(request);
            tokens.Enqueue(InMemorySparkfly.TokenOf(request));
            return new HttpResponseMessage(HttpStatusCode.OK);
        });
        using DelegatingHandler chain = isSuppressedByTheCaller
            ? new InlineHandler(static async (request, next) =>
            {
                await Task.Yield();
                return await next(request);
            })
            : new Worker();
        chain.InnerHandler = network;
        await using TestApp app = _sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => chain));
        using HttpClient client = app.Client();
        if (isWarm)
        {
            await app.Tokens.GetTokenAsync();
        }

        Task<HttpResponseMessage> sending;
        using (isSuppressedByTheCaller ? ExecutionContext.SuppressFlow() : (IDisposable?)null)
        {
            sending = client.GetAsync("offers");
        }

        using HttpResponseMessage response = await sending.WaitAsync(TestApp.Patience);

        Assert.That(tokens, Has.Count.EqualTo(1).And.All.Not.Null);
        Assert.That(sent.Single().Options, Is.Empty, "what shows the way has left the message");
    }

    /// <summary>Rules 5.1 and 5.4: the same where it blocks on a thread to which nothing of the caller's context flows.</summary>
    [Test]
    public async Task A_chain_of_the_applications_own_that_sends_from_another_thread_sends_no_request_without_a_token()
    {
        var sent = new ConcurrentQueue<(HttpRequestMessage Request, string? Token)>();
        using var network = new FakePrimary(request =>
        {
            sent.Enqueue((request, InMemorySparkfly.TokenOf(request)));
            return new HttpResponseMessage(HttpStatusCode.OK);
        });
        using var chain = new OtherThread { InnerHandler = network };
        await using TestApp app = _sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => chain));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(Sending.Sync, "offers");

        Assert.That(sent.Single().Token, Is.Not.Null);
        Assert.That(sent.Single().Request.Options, Is.Empty, "what shows the way has left the message");
    }

    /// <summary>Rule 6.8: a client without the handler notices nothing, also where a handler of a Sparkfly client calls it.</summary>
    [Test]
    public async Task A_client_of_no_account_that_shares_the_chain_and_is_called_from_inside_a_call_sends_its_request_as_it_is([Values] Sending sending)
    {
        var sent = new ConcurrentQueue<(string Path, bool HasToken)>();
        using var network = new FakePrimary(request =>
        {
            sent.Enqueue((request.RequestUri!.AbsolutePath, InMemorySparkfly.TokenOf(request) is not null));
            return new HttpResponseMessage(HttpStatusCode.OK);
        });
        using var chain = new InlineHandler(static (request, next) => next(request)) { InnerHandler = network };
        HttpClient? plain = null;
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => chain).AddHttpMessageHandler(() => new InlineHandler((request, next) =>
            {
                using HttpResponseMessage inner = plain!.GetAs(sending, new Uri("https://sparkfly.test/v1.0/plain")).GetAwaiter().GetResult();
                return next(request);
            })),
            register: services => services.AddHttpClient("plain").ConfigurePrimaryHttpMessageHandler(() => chain));
        using HttpClient client = app.Client();
        using HttpClient called = plain = app.Client("plain");

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(sent, Is.EqualTo(((string, bool)[])[("/v1.0/plain", false), ("/v1.0/offers", true)]));
    }

    /// <summary>Rule 6.4: requests to other hosts keep their cookies, also where the token request turns them off in a handler that both use.</summary>
    [Test]
    public async Task Cookies_that_the_application_brought_go_on_to_other_hosts_where_the_token_request_shares_the_handler(
        [Values(Primary.Sockets, Primary.HttpClientHandler)] Primary primary, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        var elsewhere = new Uri($"http://localhost:{other.Address.Port}/");
        var cookies = new CookieContainer();
        cookies.Add(elsewhere, new Cookie("affinity", "node-7"));
        using HttpMessageHandler shared = primary == Primary.Sockets
            ? new SocketsHttpHandler { CookieContainer = cookies }
            : new HttpClientHandler { CookieContainer = cookies };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly)).ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => shared));
            services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => shared);
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage first = await client.GetAs(sending, "offers");
        using HttpResponseMessage second = await client.GetAs(sending, elsewhere);

        Assert.That(first.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(other.Requests.Single().Headers.GetValueOrDefault("Cookie"), Is.EqualTo("affinity=node-7"));
    }

    /// <summary>As the platform says of any handler that is reused: otherwise the first pipeline would send through the second one's network.</summary>
    [Test]
    public async Task A_handler_that_the_application_keeps_for_two_pipelines_is_a_clear_error()
    {
        SparkflyAuthHandler? kept = null;
        await using var app = new TestApp(services =>
        {
            _sparkfly.AddAccount(services, "");
            foreach (string name in (string[])["first", "second"])
            {
                services.AddHttpClient(name).AddHttpMessageHandler(provider => kept ??= provider.GetRequiredService<SparkflyAuthHandler>());
            }
        });
        using HttpClient first = app.Client("first");

        Assert.That(() => app.Client("second"), Throws.InvalidOperationException.With.Message.Contains("'second'").And.Message.Contains("another pipeline"));
    }

    /// <summary>Rule 6.8: what is wrong with a message, the platform says.</summary>
    [Test]
    public async Task A_message_without_an_address_fails_as_without_the_handler([Values] bool isAsync)
    {
        await using TestApp app = _sparkfly.App(
            client: static client => client.ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler()),
            register: static services => services.AddHttpClient("plain"));

        Exception own = await FailureAsync("api");
        Exception plain = await FailureAsync("plain");

        Assert.That((own.GetType(), own.Message), Is.EqualTo((plain.GetType(), plain.Message)));

        async Task<Exception> FailureAsync(string client)
        {
            using var invoker = new HttpMessageInvoker(app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler(client), disposeHandler: false);
            using var request = new HttpRequestMessage();
            try
            {
                using HttpResponseMessage response = isAsync
                    ? await invoker.SendAsync(request, CancellationToken.None)
                    : invoker.Send(request, CancellationToken.None);
            }
            catch (Exception exception)
            {
                return exception;
            }

            throw new AssertionException("It was sent.");
        }
    }

    /// <summary>Sends on another thread, without the caller's context.</summary>
    private sealed class OtherThread : DelegatingHandler
    {
        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            HttpResponseMessage? response = null;
            var thread = new Thread(() => response = base.Send(request, cancellationToken));
            thread.UnsafeStart();
            thread.Join();
            return response!;
        }
    }

    /// <summary>Sends what it is given one after the other, in a flow of its own.</summary>
    private sealed class Worker : DelegatingHandler
    {
        private readonly Channel<(HttpRequestMessage Request, TaskCompletionSource<HttpResponseMessage> Response)> _queue =
            Channel.CreateUnbounded<(HttpRequestMessage, TaskCompletionSource<HttpResponseMessage>)>();

        public Worker() => _ = Task.Run(RunAsync);

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var response = new TaskCompletionSource<HttpResponseMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
            _queue.Writer.TryWrite((request, response));
            return response.Task;
        }

        private async Task RunAsync()
        {
            await foreach ((HttpRequestMessage request, TaskCompletionSource<HttpResponseMessage> response) in _queue.Reader.ReadAllAsync())
            {
                response.SetResult(await base.SendAsync(request, CancellationToken.None));
            }
        }
    }
}
