using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.3: the token is taken off the request message when the send ends, however it ends. Rule 6.1: no handler above sees it.</summary>
public class MessageCleanupTests
{
    /// <summary>How a send ends.</summary>
    public enum Ending
    {
        Success,
        NotFound,
        Unauthorized,
        Replayed,
        Redirected,
        RedirectedToGet,
        RedirectedElsewhere,
        RenewalFailed,
        Exception,
        Cancelled,
    }

    /// <summary>What a primary handler of the application's own does in the end.</summary>
    public enum Network
    {
        Answers,
        AnswersWithNull,
        Throws,
        Cancels,
        AddsHeaders,
        ChangesTheAddress,
        GoesElsewhere,
        AnswersAnotherMessage,
    }

    [Test]
    public async Task When_the_send_has_ended_there_is_no_token_on_the_message_and_its_own_content_is_back(
        [Values] Ending ending, [Values] bool isCopied, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        using var cancellation = new CancellationTokenSource();
        var above = new Above(isCopied);
        await using TestApp app = sparkfly.App(
            options => options.RetryOnUnauthorized = ending != Ending.Unauthorized,
            client => client.AddHttpMessageHandler(() => above));
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();
        var seen = new ConcurrentQueue<Seen>();
        sparkfly.OnApiRequest = async context =>
        {
            seen.Enqueue(await Seen.OfAsync(context));
            if (context.Request.Path != "/v1.0/things")
            {
                return false;
            }

            switch (ending)
            {
                case Ending.NotFound:
                    context.Response.StatusCode = 404;
                    return true;
                case Ending.Redirected:
                    await context.RedirectTo(307, "offers");
                    return true;
                case Ending.RedirectedToGet:
                    await context.RedirectTo(302, "offers");
                    return true;
                case Ending.RedirectedElsewhere:
                    await context.RedirectTo(307, other.Address.AbsoluteUri);
                    return true;
                case Ending.Exception:
                    context.Abort();
                    return true;
                case Ending.Cancelled:
                    await cancellation.CancelAsync();
                    await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    return true;
                default:
                    return false;
            }
        };
        if (ending is Ending.Unauthorized or Ending.Replayed or Ending.RenewalFailed)
        {
            sparkfly.RevokeTokens();
        }

        if (ending == Ending.RenewalFailed)
        {
            sparkfly.OnTokenRequest = static context =>
            {
                context.Response.StatusCode = 503;
                return Task.FromResult(true);
            };
        }

        var content = JsonContent.Create(Enumerable.Range(0, 3).Where(static _ => true));
        using var request = new HttpRequestMessage(HttpMethod.Post, "things") { Content = content };
        HttpResponseMessage? response = null;
        try
        {
            response = await client.SendAs(sending, request, cancellation.Token);
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException)
        {
            Assert.That(ending, Is.AnyOf(Ending.Exception, Ending.Cancelled, Ending.RenewalFailed));
        }

        bool isReplayed = ending is Ending.Replayed;
        bool isRedirected = ending is Ending.Redirected or Ending.RedirectedToGet or Ending.RedirectedElsewhere;
        HttpRequestMessage last = above.Sent!;
        Assert.That(seen.Select(static s => s.Token?.Length), Has.All.EqualTo(64), "on the wire to Sparkfly");
        Assert.That(seen, Has.Count.EqualTo(isReplayed || ending is Ending.Redirected or Ending.RedirectedToGet ? 2 : 1));
        Assert.That(other.Requests.Select(static s => s.Token), Is.EqualTo(ending == Ending.RedirectedElsewhere ? new string?[] { null } : []));
        Assert.That(above.Tokens, Has.All.Null, "what a handler above sees, on the way there and back");
        foreach (HttpRequestMessage message in (HttpRequestMessage[])[request, last, response?.RequestMessage ?? last])
        {
            Assert.That(message.Headers.Contains("X-Auth-Token"), Is.False);
            Assert.That(message.ToString(), Does.Not.Contain("X-Auth-Token"));
            Assert.That(message.Options, Is.Empty);
        }

        Assert.That(last.Content, ending == Ending.RedirectedToGet ? Is.Null : Is.SameAs(content));
        Assert.That(last.Method, Is.EqualTo(ending == Ending.RedirectedToGet ? HttpMethod.Get : HttpMethod.Post), "that of the last hop");
        Assert.That(last.RequestUri, Is.EqualTo(
            ending == Ending.RedirectedElsewhere ? other.Address : new Uri(sparkfly.BaseAddress, isRedirected ? "offers" : "things")), "that of the last hop");
        response?.Dispose();
    }

    [Test]
    public async Task Whatever_a_primary_handler_does_there_is_no_token_on_the_message_afterwards_and_its_own_content_is_back(
        [Values] Network network, [Values] bool isLate, [Values] bool isOfAnAccount, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        var above = new Above(isCopying: false);
        var seen = new ConcurrentQueue<string?>();
        HttpRequestMessage? answered = null;
        await using TestApp app = sparkfly.App(client: client => client
            .RemoveAllLoggers() // They fail at a null response.
            .AddHttpMessageHandler(() => above)
            .ConfigurePrimaryHttpMessageHandler(() => new OwnPrimaryHandler(async (message, _) =>
            {
                await (isLate && sending == Sending.Async ? Task.Delay(1) : Task.CompletedTask);
                seen.Enqueue(InMemorySparkfly.TokenOf(message));
                answered = message;
                switch (network)
                {
                    case Network.AnswersWithNull:
                        return null!;
                    case Network.Throws:
                        throw new HttpRequestException("no connection");
                    case Network.Cancels:
                        throw new OperationCanceledException();
                    case Network.AddsHeaders:
                        message.Headers.Add("X-First", "1");
                        message.Headers.Add("X-Second", "2");
                        break;
                    case Network.ChangesTheAddress:
                        message.RequestUri = new Uri(sparkfly.BaseAddress, "offers");
                        break;
                    case Network.GoesElsewhere:
                        message.RequestUri = new Uri("https://elsewhere.example/");
                        break;
                    case Network.AnswersAnotherMessage:
                        answered = new HttpRequestMessage(HttpMethod.Get, message.RequestUri);
                        answered.Headers.Add("X-Auth-Token", InMemorySparkfly.TokenOf(message));
                        break;
                    default:
                        break;
                }

                return new HttpResponseMessage(HttpStatusCode.OK) { RequestMessage = answered };
            })));
        using HttpClient client = app.Client();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        var content = JsonContent.Create(Enumerable.Range(0, 3).Where(static _ => true));
        using var request = new HttpRequestMessage(HttpMethod.Post, "things") { Content = content };
        if (isOfAnAccount)
        {
            request.SetSparkflyAccount("");
        }

        try
        {
            (await client.SendAs(sending, request)).Dispose();
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException or InvalidOperationException)
        {
            Assert.That(network, Is.AnyOf(Network.Throws, Network.Cancels, Network.AnswersWithNull), exception.ToString());
        }

        Assert.That(seen, Is.EqualTo((string[])[token.Value]), "on its way");
        Assert.That(above.Tokens, Has.All.Null, "what a handler above sees, on the way there and back");
        Assert.That(request.Headers.Contains("X-Auth-Token"), Is.False);
        Assert.That(answered!.Headers.Contains("X-Auth-Token"), Is.False);
        Assert.That(request.Content, Is.SameAs(content));
    }

    [Test]
    public async Task An_outer_handler_that_sends_the_message_elsewhere_sends_no_token([Values] bool afterAnException, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            services.AddHttpClient("api")
                .AddHttpMessageHandler(() => new InlineHandler((request, send) => FailOver(request, send, other.Address)))
                .AddSparkflyAuthHandler();
        });
        sparkfly.OnApiRequest = context =>
        {
            if (afterAnException)
            {
                context.Abort();
            }

            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        using HttpClient client = app.Client();

        // A request with content, which the platform itself does not send again.
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = new StringContent("text") };
        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That((sparkfly.ApiRequests, sparkfly.TokenRequests), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task An_outer_handler_that_goes_past_ours_sends_no_token([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using var past = new HttpMessageInvoker(new SocketsHttpHandler());
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        using HttpResponseMessage first = await client.SendAs(sending, request);
        request.RequestUri = other.Address;

        using HttpResponseMessage second = await past.SendAsync(request, CancellationToken.None);

        Assert.That(other.Requests.Single().Token, Is.Null);
    }

    [Test]
    public async Task A_refused_message_of_an_account_of_another_origin_gets_its_own_content_back([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        var content = JsonContent.Create(Enumerable.Range(0, 3).Where(static _ => true));
        using var request = new HttpRequestMessage(HttpMethod.Post, other.Address) { Content = content };
        request.SetSparkflyAccount("");

        Assert.That(async () => (await client.SendAs(sending, request)).Dispose(), Throws.InvalidOperationException);

        Assert.That(request.Content, Is.SameAs(content));
        Assert.That(other.Requests, Is.Empty);
    }

    private static Task<HttpResponseMessage> FailOver(
        HttpRequestMessage request, Func<HttpRequestMessage, Task<HttpResponseMessage>> send, Uri elsewhere)
    {
        try
        {
            using HttpResponseMessage response = Task.Run(() => send(request)).GetAwaiter().GetResult();
        }
        catch (HttpRequestException)
        {
        }

        request.RequestUri = elsewhere;
        return send(request);
    }

    /// <summary>A handler of the application's, which looks at each message before it sends it and after, and may send a copy.</summary>
    private sealed class Above(bool isCopying) : DelegatingHandler
    {
        public ConcurrentQueue<string?> Tokens { get; } = new();

        /// <summary>The message that it has sent.</summary>
        public HttpRequestMessage? Sent { get; private set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Sent = Look(isCopying ? Copy(request) : request);
            try
            {
                HttpResponseMessage response = await base.SendAsync(Sent, cancellationToken);
                Look(response?.RequestMessage ?? Sent);
                return response!;
            }
            finally
            {
                Look(Sent);
            }
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Sent = Look(isCopying ? Copy(request) : request);
            try
            {
                HttpResponseMessage response = base.Send(Sent, cancellationToken);
                Look(response?.RequestMessage ?? Sent);
                return response!;
            }
            finally
            {
                Look(Sent);
            }
        }

        private HttpRequestMessage Look(HttpRequestMessage message)
        {
            Tokens.Enqueue(InMemorySparkfly.TokenOf(message));
            return message;
        }

        private static HttpRequestMessage Copy(HttpRequestMessage request)
        {
            var copy = new HttpRequestMessage(request.Method, request.RequestUri) { Content = request.Content };
            foreach ((string name, IEnumerable<string> values) in request.Headers)
            {
                copy.Headers.TryAddWithoutValidation(name, values);
            }

            return copy;
        }
    }
}
