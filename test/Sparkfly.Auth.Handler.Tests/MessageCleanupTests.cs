using System.Net;
using System.Net.Http.Json;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.3: the token is taken off the request message when the send ends, however it ends.</summary>
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
        RedirectedElsewhere,
        RenewalFailed,
        Exception,
        Cancelled,
    }

    [Test]
    public async Task When_the_send_has_ended_there_is_no_token_on_the_message_and_its_own_content_is_back(
        [Values] Ending ending, [Values] bool isCopied, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        using var cancellation = new CancellationTokenSource();
        HttpRequestMessage? copy = null;
        await using TestApp app = sparkfly.App(
            options => options.RetryOnUnauthorized = ending != Ending.Unauthorized,
            client => client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
            {
                Assert.That(request.Headers.Contains("X-Auth-Token"), Is.EqualTo(request.RequestUri!.Port == sparkfly.BaseAddress.Port), "on its way");
                if (ending == Ending.Exception)
                {
                    throw new HttpRequestException("no connection");
                }

                if (ending == Ending.Cancelled)
                {
                    cancellation.Cancel();
                    cancellation.Token.ThrowIfCancellationRequested();
                }

                return send(isCopied ? copy = Copy(request) : request);
            })));
        using HttpClient client = app.Client();
        await app.Tokens.GetTokenAsync();
        sparkfly.OnApiRequest = context =>
        {
            bool isHandled = context.Request.Path == "/v1.0/things" && ending is Ending.NotFound or Ending.Redirected or Ending.RedirectedElsewhere;
            context.Response.StatusCode = ending == Ending.NotFound ? 404 : 307;
            context.Response.Headers.Location = ending == Ending.Redirected ? "offers" : other.Address.AbsoluteUri;
            if (!isHandled || context.Request.Path == "/v1.0/offers")
            {
                context.Response.StatusCode = 200;
                context.Response.Headers.Location = default;
                return Task.FromResult(false);
            }

            return Task.FromResult(true);
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

        Assert.That(request.Headers.Contains("X-Auth-Token"), Is.False);
        Assert.That(response?.RequestMessage?.Headers.Contains("X-Auth-Token") ?? false, Is.False);
        Assert.That(request.ToString(), Does.Not.Contain("X-Auth-Token"));
        Assert.That(request.Content, Is.SameAs(content));
        Assert.That(request.Options, Is.Empty);
        Assert.That(ending is Ending.RenewalFailed || copy?.Headers.Contains("X-Auth-Token") is not true, Is.True, "the copy that was answered");
        response?.Dispose();
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
                .AddSparkflyAuthHandler()
                .AddHttpMessageHandler(() => new InlineHandler((request, send) =>
                    afterAnException && request.RequestUri!.Port == sparkfly.BaseAddress.Port ? throw new HttpRequestException("down") : send(request)));
        });
        sparkfly.OnApiRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
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

    private static HttpRequestMessage Copy(HttpRequestMessage request)
    {
        var copy = new HttpRequestMessage(request.Method, request.RequestUri) { Content = request.Content };
        foreach ((string name, IEnumerable<string> values) in request.Headers)
        {
            copy.Headers.TryAddWithoutValidation(name, values);
        }

        return copy;
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
}
