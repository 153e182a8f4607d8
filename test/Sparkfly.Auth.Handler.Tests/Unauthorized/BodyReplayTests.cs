using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 4.4: the second send has exactly the bytes of the first, or does not happen.</summary>
public class BodyReplayTests
{
    // Half as much again as the last power of two before it.
    private const int MemoryLimit = 3 << 18;

    private static readonly bool[] s_bothWays = [true, false];

    /// <summary>Bodies that may not give the same bytes twice, longer than what the platform sends without being asked for it.</summary>
    public enum Unread
    {
        Json,
        OneWayStream,
        MultipartWithOneWayStream,
    }

    private static IEnumerable<TestCaseData> EveryBodyBothWays() =>
        from body in Bodies.All
        from isAsync in s_bothWays
        where isAsync || body.CanBeSentSynchronously
        select new TestCaseData(body, isAsync).SetArgDisplayNames(body.Name, isAsync ? "async" : "sync");

    /// <summary>Rule 4.4.</summary>
    [TestCaseSource(nameof(EveryBodyBothWays))]
    public async Task Every_body_is_sent_again_byte_for_byte_as_a_bare_client_sends_it(object what, bool isAsync)
    {
        var body = (Body)what;
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        Upload bare = await SendBareAsync(server, uploads, body, isAsync);
        await using TestApp app = await WarmAppAsync(server);
        using HttpClient client = app.Client();
        using HttpContent content = body.Make();
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(uploads.All, Is.EqualTo(new[] { bare, bare }), "the rejected send and the second one, each as the bare client's");
        Assert.That(request.Content, Is.SameAs(content), "the caller's own body is back on the message");
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    /// <summary>Rule 4.4: what can be read again is not kept.</summary>
    [TestCaseSource(nameof(EveryBodyBothWays))]
    public async Task What_can_be_read_again_stays_the_very_object_while_it_is_sent_and_anything_else_is_kept(object what, bool isAsync)
    {
        var body = (Body)what;
        await using StandInServer server = await Sparkfly.StartAsync();
        HttpContent? sent = null;
        HttpContent? above = null;
        await using TestApp app = await WarmAppAsync(server, client: b => b
            .AddHttpMessageHandler(() => new InlineHandler((message, send) =>
            {
                above = message.Content;
                return send(message);
            }))
            .ConfigurePrimaryHttpMessageHandler(() => new OwnPrimaryHandler((message, send) =>
            {
                sent = message.Content;
                return send(message);
            })));
        using HttpClient client = app.Client();
        using HttpContent content = body.Make();
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };

        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(sent, body.IsReadAgain ? Is.SameAs(content) : Is.Not.SameAs(content).And.Not.Null, "with the primary handler");
        Assert.That(above, Is.SameAs(content), "above our handler");
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>Rule 4.4: <c>MaxReplayBodySize</c>.</summary>
    [Test]
    public async Task A_body_of_up_to_MaxReplayBodySize_is_sent_again_and_beyond_that_the_caller_gets_the_401_and_the_next_request_a_new_token(
        [Values] bool isAsync, [Values] bool isLengthKnown, [Values(0, 9_000, 20_000)] int limit, [Values(-1, 0, 1)] int more)
    {
        int length = Math.Max(limit + more, 1);
        bool fits = length <= limit;
        byte[] bytes = Bodies.Bytes(length);
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        await using TestApp app = await WarmAppAsync(server, options => options.MaxReplayBodySize = limit);
        using HttpClient client = app.Client();
        using HttpContent content = isLengthKnown
            ? new OwnContent((_, stream) => stream.Write(bytes), length)
            : new StreamContent(new OneWayStream(bytes));
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(fits ? HttpStatusCode.OK : HttpStatusCode.Unauthorized));
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest(bytes), fits ? 2 : 1)));
        Assert.That(request.Content, Is.SameAs(content));
        if (!fits)
        {
            Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("Invalid authentication token"), "the 401 itself, whole");
            using HttpResponseMessage next = await client.GetAsync("offers").WaitAsync(TestApp.Patience);
            Assert.That(next.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That((server.ApiRequests, server.TokenRequests), Is.EqualTo((2, 2)), "the next request has the new token at its first attempt");
        }
    }

    /// <summary>Rule 4.4: memory is bounded by <c>MaxReplayBodySize</c>.</summary>
    [Test]
    public void No_more_memory_than_MaxReplayBodySize_is_held_of_a_long_one_way_stream()
    {
        const int Limit = 3_000_000;
        const long Long = 50_000_000;
        using var content = new StreamContent(new OneWayStream(Bodies.Bytes(100_000), Long));
        using HttpContent kept = ReplayableBody.Of(content, Limit);

        // Synchronously, so that every allocation is this thread's.
        long before = GC.GetAllocatedBytesForCurrentThread();
        kept.CopyTo(Stream.Null, null, CancellationToken.None);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.That(ReplayableBody.CanBeSentAgain(kept), Is.False);
        Assert.That(allocated, Is.LessThan(3 * Limit), "the last buffer has the limit's length, those before it half of the next one's");
    }

    /// <summary>Rule 4.4, with several requests in flight.</summary>
    [Test]
    public async Task Concurrent_requests_are_each_sent_again_with_their_own_body([Values] bool isAsync)
    {
        const int Requests = 24;
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        await using TestApp app = await WarmAppAsync(server);
        using HttpClient client = app.Client();
        string Text(int n) => $"{n}:" + new string((char)('a' + n), 20_000);

        server.RevokeTokens();
        HttpStatusCode[] statuses = await Task.WhenAll(Enumerable.Range(0, Requests).Select(async n =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"offers/{n}")
            {
                Content = new StreamContent(new OneWayStream(System.Text.Encoding.UTF8.GetBytes(Text(n)))),
            };
            using HttpResponseMessage response = await client.SendAsync(request, isAsync);
            return response.StatusCode;
        }));

        Assert.That(statuses, Is.All.EqualTo(HttpStatusCode.OK));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
        for (int n = 0; n < Requests; n++)
        {
            Assert.That(
                uploads.Of($"/v1.0/offers/{n}").Select(u => u.Sha256).Distinct(),
                Is.EqualTo(new[] { Upload.Digest(System.Text.Encoding.UTF8.GetBytes(Text(n))) }),
                $"request {n}");
        }
    }

    /// <summary>Rule 6.1: each message of a retry above passes the handler, and rule 4.4 holds for each.</summary>
    [Test]
    public async Task Each_message_of_a_retry_above_is_sent_again_with_its_whole_body([Values] bool isAsync, [Values] bool isStream)
    {
        byte[] bytes = Bodies.Bytes(30_000);
        await using StandInServer server = await Sparkfly.StartAsync();
        var uploads = new Uploads();
        var statuses = new List<int>();
        server.OnApiRequest = async context =>
        {
            await uploads.ReceiveAsync(context);
            bool isGood = server.IsGood(context.Request.Headers["X-Auth-Token"].ToString());
            bool isFirst = isGood && statuses.TrueForAll(static s => s == StatusCodes.Status401Unauthorized);
            statuses.Add(!isGood ? StatusCodes.Status401Unauthorized : isFirst ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK);
            if (isFirst)
            {
                server.RevokeTokens();
                context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            }

            return isFirst;
        };
        await using TestApp app = await WarmAppAsync(
            server, static options => options.UnauthorizedRefreshInterval = TimeSpan.Zero, b => b.AddHttpMessageHandler(() => new RetryOnce()));
        using HttpClient client = app.Client();
        using HttpContent content = isStream ? new StreamContent(new MemoryStream(bytes)) : new ByteArrayContent(bytes);
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(statuses, Is.EqualTo([401, 503, 401, 200]), "each message of the retry is sent twice");
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest(bytes), 4)));
        Assert.That(server.TokenRequests, Is.EqualTo(3));
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>Rule 4.4: a body of which nothing was read can be sent, of whatever kind and size.</summary>
    [Test]
    public async Task A_body_that_the_server_did_not_ask_for_before_its_401_is_sent_again_whole(
        [Values] Unread kind, [Values(0, 1000, 1_000_000)] int limit, [Values] bool isAsync)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = ReadWhereAnswered(server, context => server.IsGood(context.Request.Headers["X-Auth-Token"].ToString()));
        await using TestApp app = await WarmAppAsync(server, options => options.MaxReplayBodySize = limit, WaitForContinue);
        using HttpClient client = app.Client();
        using HttpContent content = ContentOf(kind);
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };
        request.Headers.ExpectContinue = true;

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo((string[])[DigestOf(kind)]), "bodies that were received to their end");
        Assert.That((server.ApiRequests, server.TokenRequests), Is.EqualTo((2, 2)));
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>Rules 4.4 and 6.2: the same where the answer is a redirect, at the account's origin and elsewhere, as the platform does it.</summary>
    [Test]
    public async Task A_body_that_the_server_did_not_ask_for_before_its_redirect_is_sent_whole_to_the_target(
        [Values] Unread kind, [Values(0, 1_000_000)] int limit, [Values] bool isElsewhere, [Values] bool isAsync)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using StandInServer elsewhere = await Sparkfly.StartAsync();
        StandInServer server = isElsewhere ? elsewhere : sparkfly;
        var tokens = new List<string>();
        Uploads uploads = ReadWhereAnswered(server, context =>
        {
            tokens.Add(context.Request.Headers["X-Auth-Token"].ToString());
            return context.Request.Path == "/v1.0/moved";
        }, static context => context.RedirectTo(307, "moved"));
        await using TestApp app = await WarmAppAsync(sparkfly, options => options.MaxReplayBodySize = limit, WaitForContinue);
        string token = isElsewhere ? "" : (await app.Tokens.GetTokenAsync()).Value;
        using HttpClient client = app.Client();
        using HttpContent content = ContentOf(kind);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.BaseAddress, "offers")) { Content = content };
        request.Headers.ExpectContinue = true;

        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(isElsewhere ? HttpStatusCode.Unauthorized : HttpStatusCode.OK), "of the target");
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo((string[])[DigestOf(kind)]), "bodies that were received to their end");
        Assert.That(tokens, Is.EqualTo((string[])[token, token]));
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>Rule 4.4, where a handler above puts another body in the place of the one it is given.</summary>
    [Test]
    public async Task A_body_that_a_handler_above_has_wrapped_is_sent_again_wrapped_once([Values] bool isAsync)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var uploads = Uploads.At(server);
        await using TestApp app = await WarmAppAsync(server, client: b => b.AddHttpMessageHandler(static () => new InlineHandler(static async (request, send) =>
        {
            request.Content = new StringContent($"<envelope>{await request.Content!.ReadAsStringAsync()}</envelope>");
            return await send(request);
        })));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = new StringContent("letter") };

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest("<envelope>letter</envelope>"u8), 2)));
    }

    /// <summary>Rule 4.4, where the network reads the body twice at one time.</summary>
    [Test]
    public async Task A_body_that_is_read_twice_at_one_time_is_never_sent_again_by_halves()
    {
        var firstMayEnd = new TaskCompletionSource();
        using var original = new OwnAsyncContent(async (time, stream) =>
        {
            await stream.WriteAsync("half"u8.ToArray());
            await (time == 1 ? firstMayEnd.Task : new TaskCompletionSource().Task);
            await stream.WriteAsync(" and half"u8.ToArray());
        });
        using HttpContent kept = ReplayableBody.Of(original, 1000);

        Task first = kept.CopyToAsync(Stream.Null);
        _ = kept.CopyToAsync(Stream.Null);
        firstMayEnd.SetResult();
        await first.WaitAsync(TestApp.Patience);
        using var again = new MemoryStream();
        await kept.CopyToAsync(again).WaitAsync(TestApp.Patience);

        Assert.That(System.Text.Encoding.UTF8.GetString(again.ToArray()), Is.EqualTo("half and half"));
    }

    /// <summary>Rule 4.4: the reader that has ended first was given the caller's bytes; a lazy sequence has nothing for the other.</summary>
    [Test]
    public async Task A_body_that_is_read_twice_at_one_time_is_sent_again_as_the_reader_got_it_that_ended_first([Values] bool isAsync)
    {
        HttpContent? kept = null;
        int reads = 0;
        using var original = new OwnContent((_, stream) =>
        {
            if (++reads == 1)
            {
                // Another reader comes, and ends, while this one has begun.
                Read(Stream.Null).GetAwaiter().GetResult();
                return;
            }

            stream.Write("whole"u8);
        });
        using HttpContent wrapped = kept = ReplayableBody.Of(original, 1000);

        await Read(Stream.Null);
        using var again = new MemoryStream();
        await Read(again);

        Assert.That(System.Text.Encoding.UTF8.GetString(again.ToArray()), Is.EqualTo("whole"));

        // At once, both ways.
        Task Read(Stream target)
        {
            if (isAsync)
            {
                return kept!.CopyToAsync(target);
            }

            kept!.CopyTo(target, null, CancellationToken.None);
            return Task.CompletedTask;
        }
    }

    /// <summary>A primary handler of an application's own may read the body as a stream.</summary>
    [Test]
    public async Task A_body_can_be_read_as_a_stream_while_it_is_sent([Values] bool isOneWay, [Values] bool isAsync)
    {
        byte[] bytes = Bodies.Bytes(20_000);
        using HttpContent original = isOneWay ? new StreamContent(new OneWayStream(bytes)) : new OwnContent((_, stream) => stream.Write(bytes));
        using HttpContent kept = ReplayableBody.Of(original, 100_000);

        using var read = new MemoryStream();
        await (isAsync ? await kept.ReadAsStreamAsync() : kept.ReadAsStream()).CopyToAsync(read);

        Assert.That(read.ToArray(), Is.EqualTo(bytes));
    }

    [Test]
    public async Task What_a_content_writes_to_can_be_written_to_alone()
    {
        (bool, bool, bool)? seen = null;
        using var original = new OwnContent((_, stream) => seen = (stream.CanWrite, stream.CanRead, stream.CanSeek));
        using HttpContent kept = ReplayableBody.Of(original, 1000);

        await kept.CopyToAsync(Stream.Null);

        Assert.That(seen, Is.EqualTo((true, false, false)));
    }

    /// <summary>Rule 4.4: <c>MaxReplayBodySize</c> bounds the memory too. A stream doubles by itself, and so may have twice as much.</summary>
    [TestCase(MemoryLimit, 1000, 5 * MemoryLimit / 2)]
    [TestCase(100, 1, 10_000)]
    public void A_body_that_is_kept_takes_the_memory_of_its_length_and_of_the_shorter_copies_before_it(int length, int piece, int most)
    {
        byte[] bytes = new byte[piece];
        long least = long.MaxValue;
        for (int turn = 0; turn < 5; turn++)
        {
            using var original = new OwnContent((_, stream) =>
            {
                for (int written = 0; written < length; written += piece)
                {
                    stream.Write(bytes, 0, Math.Min(piece, length - written));
                }
            });
            using HttpContent kept = ReplayableBody.Of(original, MemoryLimit);
            long before = GC.GetAllocatedBytesForCurrentThread();
            kept.CopyTo(Stream.Null, null, CancellationToken.None);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            Assert.That(ReplayableBody.CanBeSentAgain(kept), Is.True);
        }

        Assert.That(least, Is.LessThan(most));
    }

    /// <summary>Rule 4.4: what is kept is written as its content writes it; a connection of HTTP/2 takes no synchronous write.</summary>
    [Test]
    public async Task What_a_content_writes_the_old_asynchronous_way_stays_asynchronous_while_it_is_kept()
    {
        using var original = new OwnAsyncContent(static (_, stream) => Task.Factory.FromAsync(stream.BeginWrite, stream.EndWrite, new byte[10], 0, 10, null));
        using HttpContent kept = ReplayableBody.Of(original, 1000);
        var connection = new Moq.Mock<Stream>(Moq.MockBehavior.Strict);
        connection.Setup(c => c.WriteAsync(Moq.It.IsAny<ReadOnlyMemory<byte>>(), Moq.It.IsAny<CancellationToken>())).Returns(() => default(ValueTask));

        await kept.CopyToAsync(connection.Object).WaitAsync(TestApp.Patience);

        Assert.That(ReplayableBody.CanBeSentAgain(kept), Is.True);
    }

    /// <summary>Rule 4.4: a body that broke off is not taken for a whole one.</summary>
    [Test]
    public async Task A_body_that_breaks_off_is_not_taken_for_a_whole_one([Values] bool isAsync)
    {
        using var original = new OwnContent(static (time, stream) =>
        {
            stream.Write("half"u8);
            if (time == 1)
            {
                throw new IOException("the source is gone");
            }
        });
        using HttpContent kept = ReplayableBody.Of(original, 1000);

        Assert.That(
            async () =>
            {
                if (isAsync)
                {
                    await kept.CopyToAsync(Stream.Null);
                }
                else
                {
                    kept.CopyTo(Stream.Null, null, CancellationToken.None);
                }
            },
            Throws.InstanceOf<HttpRequestException>());
        Assert.That(ReplayableBody.CanBeSentAgain(kept), Is.False);
    }

    /// <summary>Rule 4.4: a message that is sent a second time by its owner is sent again on a 401 as the first time.</summary>
    [Test]
    public async Task A_seekable_stream_that_has_been_sent_before_is_still_read_again([Values] bool isAsync)
    {
        byte[] bytes = Bodies.Bytes(50_000);
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        await using TestApp app = await WarmAppAsync(server, options => options.MaxReplayBodySize = 0);
        using HttpClient client = app.Client();
        using var content = new StreamContent(new MemoryStream(bytes));
        for (int n = 0; n < 2; n++)
        {
            if (n == 1)
            {
                server.RevokeTokens();
            }

            using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };
            using HttpResponseMessage response = await client.SendAsync(request, isAsync);
            request.Content = null;
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"request {n}");
        }

        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest(bytes), 3)));
    }

    /// <summary>Rule 4.4: to look at a stream takes nothing from whoever has looked at it before, or looks at it after.</summary>
    [Test]
    public async Task A_stream_that_others_look_at_as_well_is_sent_again_all_the_same([Values] bool isAskedForBefore)
    {
        byte[] bytes = Bodies.Bytes(5000);
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        await using TestApp app = await WarmAppAsync(server);
        using HttpClient client = app.Client();
        using var content = new StreamContent(new MemoryStream(bytes));
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };
        if (isAskedForBefore)
        {
            await content.ReadAsStreamAsync();
        }

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync: true);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest(bytes), 2)));
        Assert.That((isAskedForBefore ? await content.ReadAsStreamAsync() : content.ReadAsStream()).Length, Is.EqualTo(bytes.Length));
    }

    /// <summary>Rule 4.4: the caller's own body is back on the message when the send has failed, too.</summary>
    [Test]
    public async Task The_callers_own_body_is_back_on_the_message_after_a_failure([Values] bool isAsync)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnApiRequest = static context =>
        {
            context.Abort();
            return Task.FromResult(true);
        };
        await using TestApp app = await WarmAppAsync(server);
        using HttpClient client = app.Client();
        using JsonContent content = JsonContent.Create(new Once<int>([1, 2, 3]));
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };

        Assert.That(() => client.SendAsync(request, isAsync), Throws.InstanceOf<HttpRequestException>());
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>Rule 4.4: a server that answers before it has read the body, HTTP/1.1.</summary>
    [Test]
    public async Task An_early_401_leads_to_the_whole_body_or_none_over_HTTP_1([Values] bool isAsync, [Values] bool isSeekable) =>
        await EarlyAnswerAsync(HttpVersion.Version11, isAsync, isSeekable);

    /// <summary>Rule 4.4: a server that answers before it has read the body, HTTP/2.</summary>
    [Test]
    public async Task An_early_401_leads_to_the_whole_body_or_none_over_HTTP_2([Values] bool isSeekable) =>
        await EarlyAnswerAsync(HttpVersion.Version20, isAsync: true, isSeekable);

    /// <summary>
    /// Rule 4.4: a kept body is sent as it would be without the handler. Over HTTP/2 the platform returns no answer before a body of its own
    /// kinds has left, since its stream is the caller's again then.
    /// </summary>
    [Test]
    public async Task An_early_answer_over_HTTP_2_is_returned_when_the_body_has_left([Values] bool isMultipart)
    {
        await using StandInServer server = await Sparkfly.StartAsync(
            static o => o with { Protocols = Microsoft.AspNetCore.Server.Kestrel.Core.HttpProtocols.Http2 });
        var answered = new TaskCompletionSource();
        server.OnApiRequest = async context =>
        {
            await context.Response.StartAsync();
            answered.SetResult();
            await context.Request.Body.CopyToAsync(Stream.Null);
            return true;
        };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(server))
                .ConfigureAuthClient(static b => b.AddHttpMessageHandler(static () => new Speak(HttpVersion.Version20)));
            services.AddHttpClient("api").AddSparkflyAuthHandler().AddHttpMessageHandler(static () => new Speak(HttpVersion.Version20));
        });
        using HttpClient client = app.Client();
        var mayEnd = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // On .NET 8 the platform holds a shorter body back until its end, the headers with it.
        var body = new OneWayStream(Bodies.Bytes(200_000)) { MayEnd = mayEnd.Task };
        var stream = new StreamContent(body);
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = isMultipart ? new MultipartContent { stream } : stream };

        Task<bool> hadEnded = HadEndedAsync();
        await answered.Task.WaitAsync(TestApp.Patience);

        // The answer is on its way. It is here by then, on all but the slowest machine.
        await Task.WhenAny(hadEnded, Task.Delay(TimeSpan.FromMilliseconds(300)));
        mayEnd.SetResult();

        Assert.That(await hadEnded.WaitAsync(TestApp.Patience), Is.True, "or the caller has its stream back while it is still being read");

        async Task<bool> HadEndedAsync()
        {
            using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            return mayEnd.Task.IsCompleted;
        }
    }

    private static async Task EarlyAnswerAsync(Version version, bool isAsync, bool isSeekable)
    {
        // More than the buffers of both ends of the connection, and of the stream, hold.
        byte[] bytes = Bodies.Bytes(6_000_000);
        bool isHttp2 = version == HttpVersion.Version20;
        await using StandInServer server = await Sparkfly.StartAsync(o => isHttp2 ? o with { Protocols = Microsoft.AspNetCore.Server.Kestrel.Core.HttpProtocols.Http2 } : o);
        var uploads = new Uploads();
        server.OnApiRequest = async context =>
        {
            if (server.IsGood(context.Request.Headers["X-Auth-Token"].ToString()))
            {
                await uploads.ReceiveAsync(context);
            }
            else if (!isHttp2)
            {
                // Kestrel reads a body that is left to it for five seconds, and then breaks the connection.
                context.Response.StatusCode = StatusCodes.Status401Unauthorized;
                await context.Response.StartAsync(context.RequestAborted);
                await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
                return true;
            }

            return false;
        };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.Use(server);
                options.MaxReplayBodySize = 10_000_000;
            }).ConfigureAuthClient(b => b.AddHttpMessageHandler(() => new Speak(version)));
            services.AddHttpClient("api").AddSparkflyAuthHandler().AddHttpMessageHandler(() => new Speak(version));
        });
        await app.Tokens.GetTokenAsync();
        using HttpClient client = app.Client();
        using var content = new StreamContent(isSeekable ? new MemoryStream(bytes) : new OneWayStream(bytes));
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };

        server.RevokeTokens();
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);

        bool isSentAgain = response.StatusCode == HttpStatusCode.OK;
        Assert.That(response.Version, Is.EqualTo(version));
        Assert.That(isSentAgain || response.StatusCode == HttpStatusCode.Unauthorized, $"{response.StatusCode}");
        Assert.That(isSentAgain || !isSeekable, "what can be read again is sent again");
        Assert.That(uploads.All.Select(u => u.Sha256), Is.EqualTo(Enumerable.Repeat(Upload.Digest(bytes), isSentAgain ? 1 : 0)), $"{response.StatusCode}");
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>An application with a token.</summary>
    private static async Task<TestApp> WarmAppAsync(
        StandInServer server, Action<SparkflyAuthOptions>? configure = null, Action<IHttpClientBuilder>? client = null)
    {
        TestApp app = server.App(configure, client);
        await app.Tokens.GetTokenAsync();
        return app;
    }

    private static HttpContent ContentOf(Unread kind) => kind switch
    {
        Unread.Json => JsonContent.Create(new Once<string>([new string('a', 50_000)])),
        Unread.OneWayStream => new StreamContent(new OneWayStream(Bodies.Bytes(50_000))),
        _ => new MultipartContent("mixed", "a-boundary") { new StreamContent(new OneWayStream(Bodies.Bytes(50_000))) },
    };

    private static string DigestOf(Unread kind)
    {
        using var body = new MemoryStream();
        using HttpContent content = ContentOf(kind);
        content.CopyTo(body, null, CancellationToken.None);
        return Upload.Digest(body.ToArray());
    }

    /// <summary>Reads the body where the answer is the server's own: Kestrel asks for a body when it is first read. Else it stays unread.</summary>
    private static Uploads ReadWhereAnswered(StandInServer server, Func<HttpContext, bool> isRead, Func<HttpContext, Task>? otherwise = null)
    {
        var uploads = new Uploads();
        server.OnApiRequest = async context =>
        {
            if (isRead(context))
            {
                await uploads.ReceiveAsync(context);
                return false;
            }

            await (otherwise?.Invoke(context) ?? Task.CompletedTask);
            return otherwise is not null;
        };
        return uploads;
    }

    // By default the platform sends the body after a second all the same.
    private static void WaitForContinue(IHttpClientBuilder client) =>
        client.ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { Expect100ContinueTimeout = TestApp.Patience });

    /// <summary>Sends it without the handler, forgets it, and returns what the server received.</summary>
    private static async Task<Upload> SendBareAsync(StandInServer server, Uploads uploads, Body body, bool isAsync)
    {
        using var client = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = server.BaseAddress };
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = body.Make() };
        using HttpResponseMessage response = await client.SendAsync(request, isAsync);
        Upload upload = uploads.All.Single();
        uploads.Forget();
        return upload;
    }

    /// <summary>Sends a message once more where the answer is 503.</summary>
    private sealed class RetryOnce : DelegatingHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
            return response.StatusCode == HttpStatusCode.ServiceUnavailable ? await base.SendAsync(request, cancellationToken) : response;
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            HttpResponseMessage response = base.Send(request, cancellationToken);
            return response.StatusCode == HttpStatusCode.ServiceUnavailable ? base.Send(request, cancellationToken) : response;
        }
    }

    /// <summary>Has messages sent in one version of HTTP, and no other.</summary>
    private sealed class Speak(Version version) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Version = version;
            request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;
            return base.SendAsync(request, cancellationToken);
        }
    }
}
