using System.Collections.Concurrent;
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
