using System.Collections.Concurrent;
using System.Globalization;
using CsCheck;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rule 6.2: redirects are followed as the platform does it. The same requests are sent through our handler and through a bare
/// <see cref="SocketsHttpHandler"/>; but for the token, both servers see the same from both, and so do the callers.
/// </summary>
public class RedirectParityTests
{
    private static readonly string[] s_methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];

    [Test]
    public async Task A_redirect_is_followed_as_the_platform_follows_it(
        [Values(300, 301, 302, 303, 307, 308)] int status, [Values] bool isToOtherOrigin, [Values] Sending sending)
    {
        await using Pair servers = await Pair.StartAsync();
        servers.Hops = [new Hop(status, isToOtherOrigin, Location.Absolute)];
        foreach (string method in s_methods)
        {
            Outcome ours = await servers.RunAsync(servers.Ours, sending, method);
            Outcome platforms = await servers.RunAsync(servers.Platforms, sending, method);

            Assert.That(ours.Text, Is.EqualTo(platforms.Text), method);
            Assert.That(ours.Seen, Has.Count.EqualTo(2), $"{method}: the redirect was followed");
            Assert.That(ours.Seen.Select(static s => s.TraceParent), Is.All.Not.Null & Is.Unique, $"{method}: each hop has its own");
            Assert.That(ours.Seen[0].Token, Is.Not.Null, $"{method}: the token went home");
            Assert.That(ours.Seen[1].Token, isToOtherOrigin ? Is.Null : Is.EqualTo(ours.Seen[0].Token), method);
        }
    }

    [Test]
    public async Task Chains_of_redirects_are_followed_as_the_platform_follows_them_and_the_token_ends_where_they_leave([Values] Sending sending)
    {
        await using Pair servers = await Pair.StartAsync();
        Gen<Hop> hop = Gen.Select(
            OneOf(300, 301, 302, 303, 304, 307, 308), Gen.Bool, Gen.Enum<Location>(),
            static (status, isOther, location) => new Hop(status, isOther, location));
        Gen.Select(OneOf(s_methods), hop.Array[0, 5]).Sample(
            (method, hops) =>
            {
                servers.Hops = hops;
                Outcome ours = servers.RunAsync(servers.Ours, sending, method).GetAwaiter().GetResult();
                Outcome platforms = servers.RunAsync(servers.Platforms, sending, method).GetAwaiter().GetResult();
                Assert.That(ours.Text, Is.EqualTo(platforms.Text));

                bool hasLeft = false;
                foreach (Seen seen in ours.Seen)
                {
                    hasLeft |= seen.Headers["Host"] != servers.Home.BaseAddress.Authority;
                    Assert.That(seen.Token is null, Is.EqualTo(hasLeft), $"token at {seen}");
                }
            },
            iter: 150, threads: 1, print: static c => $"{c.Item1} {string.Join(" -> ", c.Item2.AsEnumerable())}");
    }

    [Test]
    public async Task The_bound_on_hops_is_the_platforms_and_then_the_3xx_itself_comes([Values(1, 3)] int bound, [Values] Sending sending)
    {
        await using Pair servers = await Pair.StartAsync(bound);
        servers.Hops = [.. Enumerable.Repeat(new Hop(302, false, Location.Relative), 5)];

        Outcome ours = await servers.RunAsync(servers.Ours, sending, "GET");
        Outcome platforms = await servers.RunAsync(servers.Platforms, sending, "GET");

        Assert.That(ours.Text, Is.EqualTo(platforms.Text));
        Assert.That(ours.Seen, Has.Count.EqualTo(bound + 1));
        Assert.That(ours.Text, Does.StartWith("302 "));
    }

    [Test]
    public async Task The_default_bound_is_the_platforms([Values] Sending sending)
    {
        await using Pair servers = await Pair.StartAsync();
        servers.Hops = [.. Enumerable.Repeat(new Hop(302, false, Location.Relative), 60)];

        Outcome ours = await servers.RunAsync(servers.Ours, sending, "GET");
        Outcome platforms = await servers.RunAsync(servers.Platforms, sending, "GET");

        Assert.That(ours.Seen, Has.Count.EqualTo(platforms.Seen.Count));
        Assert.That(ours.Text, Is.EqualTo(platforms.Text).And.StartWith("302 "));
    }

    [Test]
    public async Task Redirects_of_a_request_to_another_origin_are_followed_as_the_platform_follows_them(
        [Values(301, 303, 308)] int status, [Values("GET", "POST")] string method, [Values] Sending sending)
    {
        await using Pair servers = await Pair.StartAsync();
        servers.Hops = [new Hop(status, true, Location.Relative), new Hop(status, false, Location.Absolute)];

        Outcome ours = await servers.RunAsync(servers.Ours, sending, method, startsElsewhere: true);
        Outcome platforms = await servers.RunAsync(servers.Platforms, sending, method, startsElsewhere: true);

        Assert.That(ours.Text, Is.EqualTo(platforms.Text));
        Assert.That(ours.Seen, Has.Count.EqualTo(3));
        Assert.That(ours.Seen.Select(static s => s.Token), Is.All.Null, "not even at home: a foreign request asked for it");
    }

    // Gen.OneOf of values has another name in the CsCheck for .NET 8.
    private static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    /// <summary>How a Location header is written.</summary>
    private enum Location
    {
        Absolute,
        Relative,
        WithoutScheme,
        WithFragment,
        Missing,
    }

    /// <summary>What a server answers: a status, and a location on one of the two servers.</summary>
    private sealed record Hop(int Status, bool IsToOtherOrigin, Location Location);

    /// <summary>What both sides saw.</summary>
    private sealed record Outcome(IReadOnlyList<Seen> Seen, string Text);

    /// <summary>A Sparkfly and another server that redirect along the same list, and the two clients that are compared.</summary>
    private sealed class Pair : IAsyncDisposable
    {
        private readonly ConcurrentQueue<Seen> _seen = new();
        private readonly RecordingServer _other;
        private readonly TestApp _app;

        private Pair(StandInServer home, RecordingServer other, int? bound)
        {
            Home = home;
            _other = other;
            Home.OnApiRequest = async context =>
            {
                await AnswerAsync(context);
                return true;
            };
            _other.Answer = AnswerAsync;
            _app = home.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => NewHandler(bound)));
            Ours = _app.Client();
            Platforms = new HttpClient(NewHandler(bound));
        }

        public StandInServer Home { get; }

        public HttpClient Ours { get; }

        public HttpClient Platforms { get; }

        public Hop[] Hops { get; set; } = [];

        public static async Task<Pair> StartAsync(int? bound = null) => new(await Sparkfly.StartAsync(), await RecordingServer.StartAsync(), bound);

        public async Task<Outcome> RunAsync(HttpClient client, Sending sending, string method, bool startsElsewhere = false)
        {
            _seen.Clear();
            using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(startsElsewhere ? _other.Address : Home.BaseAddress, "/hop/0?q=1#start"))
            {
                Headers = { { "Authorization", "Basic eDp5" }, { "X-Custom", ["one", "two"] }, { "Accept", "application/json" } },
                Content = method is "GET" or "HEAD" ? null : new StringContent("a body with an ü in it"),
            };
            using HttpResponseMessage response = await client.SendAs(sending, request);
            Seen[] seen = [.. _seen];
            string text = $"{(int)response.StatusCode} {response.RequestMessage!.Method} {response.RequestMessage.RequestUri} {response.Headers.Location}\n" +
                $"{request.Headers.Authorization} {request.Content is null}\n" +
                $"{Traces.Shape(seen.Select(static s => s.TraceParent))}\n{string.Join('\n', seen.Select(static s => s.Without("X-Auth-Token")))}";
            return new Outcome(seen, text);
        }

        public async ValueTask DisposeAsync()
        {
            Ours.Dispose();
            Platforms.Dispose();
            await _app.DisposeAsync();
            await Home.DisposeAsync();
            await _other.DisposeAsync();
        }

        private static SocketsHttpHandler NewHandler(int? bound)
        {
            var handler = new SocketsHttpHandler { UseCookies = false };
            handler.MaxAutomaticRedirections = bound ?? handler.MaxAutomaticRedirections;
            return handler;
        }

        private async Task AnswerAsync(HttpContext context)
        {
            _seen.Enqueue(await Seen.OfAsync(context));
            int number = int.Parse(context.Request.Path.Value!.Split('/')[^1], CultureInfo.InvariantCulture);
            if (number >= Hops.Length)
            {
                return;
            }

            Hop hop = Hops[number];
            string path = $"/hop/{number + 1}?x=%C3%BC";
            Uri target = hop.IsToOtherOrigin ? _other.Address : Home.BaseAddress;
            context.Response.StatusCode = hop.Status;
            if (hop.Location != Location.Missing)
            {
                context.Response.Headers.Location = hop.Location switch
                {
                    Location.Relative => path,
                    Location.WithoutScheme => $"//{target.Authority}{path}",
                    Location.WithFragment => $"{target.Root()}{path}#new",
                    _ => target.Root() + path,
                };
            }
        }
    }
}
