using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 4.4: a content that streams both ways, as gRPC's does, does so with our handler too.</summary>
public class DuplexTests
{
    private static readonly string[] s_hosts = [SideBySide.Home, SideBySide.Other];

    [Test]
    public async Task Client_and_server_exchange_messages_both_ways_over_HTTP_2_as_with_a_plain_client(
        [ValueSource(nameof(s_hosts))] string host, [Values] bool isOurs)
    {
        await using SideBySide sides = await SideBySide.StartAsync(HttpVersion.Version20);
        sides.Answer = static (context, _) => EchoAsync(context);
        HttpClient client = isOurs ? sides.Ours : sides.Plain;
        using var content = new Duplex();
        using HttpRequestMessage request = sides.Request(HttpMethod.Post, host, "/service/Method", content);

        using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(TestApp.Patience);
        using var echoes = new StreamReader(await response.Content.ReadAsStreamAsync());
        for (int n = 0; n < 3; n++)
        {
            content.Write($"message {n}");
            Assert.That(await echoes.ReadLineAsync().WaitAsync(TestApp.Patience), Is.EqualTo($"echo of message {n}"));
        }

        content.Complete();

        Assert.That(await echoes.ReadLineAsync().WaitAsync(TestApp.Patience), Is.Null, "the response ends with the request");
        Assert.That(request.Content, Is.SameAs(content));
        Assert.That(sides.Arrived.Single().Token is not null, Is.EqualTo(isOurs && host == SideBySide.Home));
    }

    [Test]
    public async Task A_401_before_the_first_message_comes_through_since_the_body_has_begun_and_the_next_call_has_a_new_token()
    {
        await using SideBySide sides = await SideBySide.StartAsync(HttpVersion.Version20);
        await WarmAsync(sides);
        sides.RevokeTokens();

        using (var content = new Duplex())
        {
            using HttpRequestMessage request = sides.Request(HttpMethod.Post, SideBySide.Home, "/service/Method", content);
            using HttpResponseMessage response = await sides.Ours.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(TestApp.Patience);
            content.Complete();

            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
            Assert.That(sides.Arrived, Has.Count.EqualTo(1), "it was not sent again");
        }

        Assert.That(await ExchangeAsync(sides, expectContinue: false), Is.EqualTo("echo of hello"));
        Assert.That(sides.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_401_in_place_of_a_100_is_replayed_and_the_call_streams_both_ways()
    {
        await using SideBySide sides = await SideBySide.StartAsync(HttpVersion.Version20);
        await WarmAsync(sides);
        sides.RevokeTokens();

        Assert.That(await ExchangeAsync(sides, expectContinue: true), Is.EqualTo("echo of hello"));
        Assert.That((sides.Arrived.Count, sides.TokenRequests), Is.EqualTo((2, 2)), "requests, token requests");
    }

    [Test]
    public async Task A_call_that_is_cancelled_while_both_stream_ends_and_the_connection_serves_the_next([Values] bool isOurs)
    {
        await using SideBySide sides = await SideBySide.StartAsync(HttpVersion.Version20);
        sides.Answer = static (context, _) => EchoAsync(context);
        HttpClient client = isOurs ? sides.Ours : sides.Plain;
        using var content = new Duplex();
        using HttpRequestMessage request = sides.Request(HttpMethod.Post, SideBySide.Home, "/service/Method", content);
        using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(TestApp.Patience);
        content.Write("hello");
        using var echoes = new StreamReader(await response.Content.ReadAsStreamAsync());
        await echoes.ReadLineAsync().WaitAsync(TestApp.Patience);

        response.Dispose();
        content.Complete();

        using HttpRequestMessage next = sides.Request(HttpMethod.Post, SideBySide.Home, "/", new StringContent("line\n"));
        using HttpResponseMessage answered = await client.SendAsync(next).WaitAsync(TestApp.Patience);
        Assert.That(await answered.Content.ReadAsStringAsync(), Is.EqualTo("echo of line\n"));
    }

    private static async Task WarmAsync(SideBySide sides)
    {
        sides.Answer = async (context, arrived) =>
        {
            if (sides.IsGood(arrived))
            {
                await EchoAsync(context);
            }
            else
            {
                context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            }
        };
        await sides.SendAsync(sides.Ours, sides.Request(HttpMethod.Get, SideBySide.Home, "/"));
        await sides.SendAsync(sides.Plain);
    }

    private static async Task<string?> ExchangeAsync(SideBySide sides, bool expectContinue)
    {
        using var content = new Duplex();
        using HttpRequestMessage request = sides.Request(HttpMethod.Post, SideBySide.Home, "/service/Method", content);
        request.Headers.ExpectContinue = expectContinue;
        using HttpResponseMessage response = await sides.Ours.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(TestApp.Patience);
        using var echoes = new StreamReader(await response.Content.ReadAsStreamAsync());
        content.Write("hello");
        string? echo = await echoes.ReadLineAsync().WaitAsync(TestApp.Patience);
        content.Complete();
        return echo;
    }

    /// <summary>A service that sends its headers first, and then a response to each message.</summary>
    private static async Task EchoAsync(HttpContext context)
    {
        using var messages = new StreamReader(context.Request.Body);
        await context.Response.StartAsync();
        await context.Response.Body.FlushAsync();
        while (await messages.ReadLineAsync(context.RequestAborted) is { } message)
        {
            await context.Response.WriteAsync($"echo of {message}\n");
            await context.Response.Body.FlushAsync();
        }
    }

    /// <summary>A content that is written to while the response is read.</summary>
    private sealed class Duplex : HttpContent
    {
        private readonly Channel<string> _messages = Channel.CreateUnbounded<string>();

        public void Write(string message) => _messages.Writer.TryWrite(message);

        public void Complete() => _messages.Writer.TryComplete();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.FlushAsync();
            await foreach (string message in _messages.Reader.ReadAllAsync())
            {
                await stream.WriteAsync(System.Text.Encoding.UTF8.GetBytes($"{message}\n"));
                await stream.FlushAsync();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }

        protected override void Dispose(bool disposing)
        {
            Complete();
            base.Dispose(disposing);
        }
    }
}
