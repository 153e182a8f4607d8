using System.Net;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 4.5: the first answer is let go before the second attempt; one connection is enough.</summary>
public class ConnectionTests
{
    private const int LargeBody = 6_000_000;

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task One_connection_is_enough_though_nobody_reads_the_large_body_of_the_401([Values] bool isAsync, [Values] HttpCompletionOption completion)
    {
        await using StandInServer server = await StartWithLarge401Async();
        await using TestApp app = server.App(client: OneConnection);
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        using HttpResponseMessage response = await (isAsync
            ? client.SendAsync(request, completion)
            : BothWays.OnThread(() => client.Send(request, completion))).WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("Free coffee"));
        Assert.That((server.ApiRequests, server.TokenRequests), Is.EqualTo((2, 2)));
    }

    /// <summary>Rule 4.5, with many callers on the one connection.</summary>
    [Test]
    public async Task One_connection_is_enough_for_many_requests_that_are_rejected_together([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        await using TestApp app = server.App(client: OneConnection);
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();

        server.RevokeTokens();
        HttpStatusCode[] statuses = await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
            using HttpResponseMessage response = await client.SendAsync(request, isAsync);
            return response.StatusCode;
        }));

        Assert.That(statuses, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    /// <summary>Rule 4.5.</summary>
    [Test]
    public async Task The_first_answer_is_closed_unread_before_the_second_attempt_leaves([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        var answers = new Answers();
        await using TestApp app = server.App(client: b => b.AddHttpMessageHandler(() => answers));
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(answers.OpenAtEachSend, Is.EqualTo([0, 0]), "answers still open when each of the two sends left");
        Assert.That(answers.Streams[0].BytesRead, Is.Zero, "bytes read of the 401's body");
    }

    /// <summary>Rules 4.5 and 4.7.</summary>
    [Test]
    public async Task The_401_is_closed_where_the_renewal_fails([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        var answers = new Answers();
        await using TestApp app = server.App(client: b => b.AddHttpMessageHandler(() => answers));
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return Task.FromResult(true);
        };

        Assert.That(() => client.SendAsync(request, isAsync), Throws.TypeOf<SparkflyAuthenticationException>());
        Assert.That(answers.Streams.Single().IsOpen, Is.False);
    }

    /// <summary>Rule 4.3: a 401 that goes to the caller is the caller's, open and whole.</summary>
    [Test]
    public async Task A_401_that_goes_to_the_caller_is_left_open_for_it([Values] bool isAsync)
    {
        await using StandInServer server = await StartWithLarge401Async();
        await using TestApp app = server.App(options => options.RetryOnUnauthorized = false);
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await response.Content.ReadAsByteArrayAsync(), Has.Length.EqualTo(LargeBody));
    }

    private static async Task<StandInServer> StartWithLarge401Async()
    {
        StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = async context =>
        {
            if (server.IsGood(context.Request.Headers["X-Auth-Token"].ToString()))
            {
                return false;
            }

            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            context.Response.ContentLength = LargeBody;
            await context.Response.Body.WriteAsync(new byte[LargeBody], context.RequestAborted);
            return true;
        };
        return server;
    }

    private static void OneConnection(IHttpClientBuilder client) =>
        client.ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { MaxConnectionsPerServer = 1 });

    /// <summary>Watches the stream of every answer.</summary>
    private sealed class Answers : DelegatingHandler
    {
        public List<WatchedStream> Streams { get; } = [];

        /// <summary>How many answers were open whenever a message left.</summary>
        public List<int> OpenAtEachSend { get; } = [];

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            OpenAtEachSend.Add(Streams.Count(static s => s.IsOpen));
            return Watch(await base.SendAsync(request, cancellationToken));
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            OpenAtEachSend.Add(Streams.Count(static s => s.IsOpen));
            return Watch(base.Send(request, cancellationToken));
        }

        private HttpResponseMessage Watch(HttpResponseMessage response)
        {
            var stream = new WatchedStream(response.Content.ReadAsStream());
            Streams.Add(stream);
            response.Content = new StreamContent(stream);
            return response;
        }
    }

    private sealed class WatchedStream(Stream inner) : Stream
    {
        public bool IsOpen { get; private set; } = true;

        public long BytesRead { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = inner.Read(buffer, offset, count);
            BytesRead += read;
            return read;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            IsOpen = false;
            inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
