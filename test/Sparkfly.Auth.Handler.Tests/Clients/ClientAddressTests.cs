using System.Collections.Concurrent;
using System.Net;
using System.Net.WebSockets;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Where a client's requests go: the platform's rules, with the account's base address and with one of the client's own.</summary>
public class ClientAddressTests
{
    [TestCase(true, "offers", "/v1.0/offers")]
    [TestCase(true, "/offers", "/offers")]
    [TestCase(false, "offers", "/v1.0/offers")]
    [TestCase(false, "/offers", "/offers")]
    public async Task With_the_account_s_base_address_a_leading_slash_loses_its_path(bool hasLastSlash, string relative, string expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();

        string address = await AddressAsync(server, relative, null, o => o.BaseAddress = V1(server, hasLastSlash));

        Assert.That(address, Is.EqualTo(expected));
    }

    [TestCase(true, "offers", "/v1.0/offers")]
    [TestCase(true, "/offers", "/offers")]
    [TestCase(false, "offers", "/offers")]
    [TestCase(false, "/offers", "/offers")]
    public async Task With_a_base_address_of_its_own_a_missing_last_slash_loses_its_path_too(bool hasLastSlash, string relative, string expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();

        string address = await AddressAsync(server, relative, client => client.BaseAddress = V1(server, hasLastSlash));

        Assert.That(address, Is.EqualTo(expected));
    }

    /// <summary>Rule 6.1: the handler sees the address that a resolver above it has put in.</summary>
    [TestCase(false, TestName = "A_name_of_service_discovery_gets_the_token_where_it_is_resolved_to_the_account_s_base_address")]
    [TestCase(true, TestName = "A_name_of_service_discovery_as_the_account_s_base_address_gets_no_token")]
    public async Task A_name_of_service_discovery(bool isBaseAddress)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = server.App(
            options =>
            {
                options.BaseAddress = isBaseAddress ? new Uri("http://sparkfly/v1.0/") : server.BaseAddress;
                options.AllowHttp = true;
            },
            client => client
                .ConfigureHttpClient(static http => http.BaseAddress = new Uri("http://sparkfly/v1.0/"))
                .AddHttpMessageHandler(() => new InlineHandler((request, next) =>
                {
                    request.RequestUri = new Uri(new Uri(server.BaseAddress.Root()), request.RequestUri!.PathAndQuery);
                    return next(request);
                })));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(seen.Single().Token is null, Is.EqualTo(isBaseAddress));
    }

    [Test]
    public async Task The_handshake_of_a_WebSocket_is_at_another_scheme_and_has_the_token_that_the_caller_puts_on()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static context =>
        {
            context.Response.StatusCode = 404;
            return true;
        });
        await using TestApp app = server.App();
        using HttpClient http = app.Client();
        var address = new UriBuilder(server.BaseAddress) { Scheme = "ws" }.Uri;
        string token = (await app.Tokens.GetTokenAsync()).Value;

        foreach (string? own in new[] { null, token })
        {
            using var socket = new ClientWebSocket();
            if (own is not null)
            {
                socket.Options.SetRequestHeader("X-Auth-Token", own);
            }

            await Thrown.By<WebSocketException>(() => socket.ConnectAsync(address, http, CancellationToken.None));
        }

        Assert.That(seen.Select(static s => s.Headers["Upgrade"]), Is.All.EqualTo("websocket"));
        Assert.That(seen.Select(static s => s.Token), Is.EqualTo((string?[])[null, token]));
    }

    [Test]
    public async Task A_client_that_is_kept_goes_on_with_the_base_address_that_it_was_made_with()
    {
        var sparkfly = new InMemorySparkfly();
        var sent = new ConcurrentQueue<(string Host, bool HasToken)>();
        sparkfly.OnApiRequest = (request, _) =>
        {
            sent.Enqueue((request.RequestUri!.Host, InMemorySparkfly.TokenOf(request) is not null));
            return Task.FromResult<HttpResponseMessage?>(InMemorySparkfly.Status(HttpStatusCode.OK));
        };
        await using TestApp app = sparkfly.App();
        using HttpClient kept = app.Client();
        using HttpResponseMessage before = await kept.GetAsync("offers");

        sparkfly.Reload("BaseAddress", "https://sparkfly-2.test/v1.0");
        using HttpResponseMessage after = await kept.GetAsync("offers");
        using HttpClient fresh = app.Client();
        using HttpResponseMessage last = await fresh.GetAsync("offers");

        Assert.That(sent, Is.EqualTo(((string, bool)[])[("sparkfly.test", true), ("sparkfly.test", false), ("sparkfly-2.test", true)]));
    }

    private static async Task<string> AddressAsync(
        StandInServer server, string relative, Action<HttpClient>? own, Action<SparkflyAuthOptions>? configure = null)
    {
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = server.App(configure, client => client.ConfigureHttpClient(http => own?.Invoke(http)));
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync(relative);
        return seen.Single().Url;
    }

    private static Uri V1(StandInServer server, bool hasLastSlash) => new($"{server.BaseAddress.Root()}/v1.0{(hasLastSlash ? "/" : "")}");
}
