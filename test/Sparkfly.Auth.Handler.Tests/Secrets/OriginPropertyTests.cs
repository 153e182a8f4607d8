using System.Net;
using CsCheck;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rule 6.1, for addresses nobody thought of: the token is attached exactly when scheme, IDN host and port are the base address's, and the
/// path is not the auth endpoint's. What is expected is known from the parts an address is made of, before it is one.
/// </summary>
[Category("Long")]
public class OriginPropertyTests
{
    // Hosts that are written differently and are the same have the same id.
    private static readonly (string Text, int Id)[] s_hosts =
    [
        ("api.sparkfly.com", 1), ("API.Sparkfly.COM", 1), ("api.sparkfly.com.", 2), ("api-staging.sparkfly.com", 3), ("sparkfly.com", 4),
        ("api.sparkfly.com.evil.example", 5), ("evil.example", 6), ("bücher.example", 7), ("BÜCHER.example", 7), ("xn--bcher-kva.example", 7),
        ("bucher.example", 8), ("localhost", 9), ("127.0.0.1", 10), ("127.0.0.2", 11), ("[::1]", 12), ("[0:0:0:0:0:0:0:1]", 12), ("[::2]", 13),
        ("\u0430pi.sparkfly.com", 14), ("api_sparkfly.com", 15), ("loopback", 9),
    ];

    // With the path that the auth endpoint of a base address under /v1.0 or /v2 would have; null for no such.
    private static readonly (string Text, string? AuthOf)[] s_paths =
    [
        ("", null), ("/", null), ("/v1.0/offers", null), ("/v1.0/authors", null), ("/v1.0/auth/", null), ("/v1.0/Auth", null), ("/v1.0/auth/x", null),
        ("/v1.0/auth", "v1.0"), ("/v1.0/auth?x=1", "v1.0"), ("/v1.0/auth#x", "v1.0"), ("/v1.0/./auth", "v1.0"), ("/v1.0/x/../auth", "v1.0"),
        ("/v1.0/%61uth", "v1.0"), ("/auth", "v1.0"), ("/auth?x", "v1.0"), ("/v2/auth", "v2"), ("/v2/auth?x=/v1.0/auth", "v2"),
        ("/x?y=/v1.0/auth", null), ("/x?http://api.sparkfly.com/v1.0/auth", null), ("/x#@evil.example", null),
    ];

    private static readonly string[] s_userInfos = ["", "", "", "user@", "user:pass@", "api.sparkfly.com%40@", "api.sparkfly.com:80@"];

    private static readonly Gen<(bool IsHttps, int Host, int? Port)> s_origin =
        Gen.Select(Gen.Bool, Gen.Int[0, s_hosts.Length - 1], Gen.OneOf<int?>(null, null, 80, 443, 8080));

    private static readonly Gen<(string UserInfo, int Path, bool IsUpper)> s_rest =
        Gen.Select(Gen.OneOf(s_userInfos), Gen.Int[0, s_paths.Length - 1], Gen.Bool);

    // Every second address is of the base's own origin, or nothing but a difference would ever be seen.
    private static readonly Gen<(Address Base, Address Asked)> s_case =
        Gen.Select(s_origin, s_origin, s_rest, Gen.Bool, Gen.Bool, static (home, other, rest, isHome, isV1) => (
            new Address(home.IsHttps, "", home.Host, home.Port, isV1 ? "/v1.0/" : "/v2", false, null),
            new Address(
                (isHome ? home : other).IsHttps, rest.UserInfo, (isHome ? home : other).Host, (isHome ? home : other).Port,
                s_paths[rest.Path].Text, rest.IsUpper, s_paths[rest.Path].AuthOf)));

    [Test]
    public void The_token_is_attached_exactly_at_the_base_addresses_origin_and_not_to_its_auth_endpoint()
    {
        int attached = 0;
        s_case.Sample(
            c =>
            {
                AccountSettings settings = AccountSettings.From(new SparkflyAuthOptions { BaseAddress = new Uri(c.Base.Text), Identity = "i", Key = "k" });
                var asked = new Uri(c.Asked.Text);
                bool isAttached = settings.Origin.Matches(asked) && !settings.IsAuthEndpoint(asked);
                Interlocked.Add(ref attached, isAttached ? 1 : 0);
                return isAttached == IsExpected(c.Base, c.Asked);
            },
            iter: 20_000, threads: 1, print: static c => $"base {c.Base.Text}, asked {c.Asked.Text}");

        Assert.That(attached, Is.GreaterThan(4_000), "of 20,000; or the sample says little");
    }

    [Test]
    public void What_leaves_the_pipeline_has_the_token_exactly_then()
    {
        var tokens = new FixedTokens();
        s_case.Sample(
            c =>
            {
                string?[] sent = Sent(c.Base, c.Asked, tokens);
                string? expected = IsExpected(c.Base, c.Asked) ? tokens.Token.Value : null;
                return sent.Length == 2 && sent.All(s => s == expected);
            },
            iter: 300, threads: 1, print: static c => $"base {c.Base.Text}, asked {c.Asked.Text}");
    }

    private static string?[] Sent(Address home, Address asked, FixedTokens tokens)
    {
        var sent = new List<string?>();
        var services = new ServiceCollection();
        services.AddSingleton<ISparkflyTokenProvider>(tokens);
        services.AddSparkflyAuth(options =>
        {
            (options.BaseAddress, options.Identity, options.Key) = (new Uri(home.Text), "i", "k");
            options.AllowHttp = true;
        });
        services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => new FakePrimary(request =>
        {
            sent.Add(request.Headers.TryGetValues("X-Auth-Token", out IEnumerable<string>? values) ? values.Single() : null);
            return new HttpResponseMessage(HttpStatusCode.OK);
        }));
        using ServiceProvider provider = services.BuildServiceProvider();
        using HttpClient client = provider.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        using HttpResponseMessage first = client.GetAsync(new Uri(asked.Text)).GetAwaiter().GetResult();
        using var request = new HttpRequestMessage(HttpMethod.Get, asked.Text);
        using HttpResponseMessage second = client.Send(request);
        return [.. sent];
    }

    private static bool IsExpected(Address home, Address asked) =>
        home.IsHttps == asked.IsHttps &&
        s_hosts[home.Host].Id == s_hosts[asked.Host].Id &&
        home.EffectivePort == asked.EffectivePort &&
        (asked.AuthOf is null || !home.Path.StartsWith("/" + asked.AuthOf, StringComparison.Ordinal));

    private sealed record Address(bool IsHttps, string UserInfo, int Host, int? Port, string Path, bool IsUpper, string? AuthOf)
    {
        public int EffectivePort => Port ?? (IsHttps ? 443 : 80);

        public string Text => $"{(IsHttps, IsUpper) switch
        {
            (true, false) => "https",
            (true, true) => "HTTPS",
            (false, false) => "http",
            (false, true) => "Http",
        }}://{UserInfo}{s_hosts[Host].Text}{(Port is { } port ? $":{port}" : "")}{Path}";
    }
}
