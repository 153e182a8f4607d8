using System.Net;
using System.Net.Http.Json;
using System.Text;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The stand-in of the samples is like the service: what fails there fails here, docs/sparkfly.md.</summary>
public class StandInTests
{
    [TestCase("offers", null, HttpStatusCode.OK)]
    [TestCase("members/7", null, HttpStatusCode.OK)]
    [TestCase("/offers", null, HttpStatusCode.NotFound, Description = "a leading slash")]
    [TestCase("offers", "/v1.0", HttpStatusCode.NotFound, Description = "a base address without its slash")]
    [TestCase("ofers", null, HttpStatusCode.NotFound, Description = "a misspelt path")]
    [TestCase("Offers", null, HttpStatusCode.NotFound)]
    [TestCase("", null, HttpStatusCode.NotFound)]
    public async Task A_path_that_is_not_there_is_answered_404(string path, string? clientBase, HttpStatusCode status)
    {
        await using StandInServer server = await Start();
        await using TestApp app = server.App(client: client =>
        {
            if (clientBase is not null)
            {
                client.ConfigureHttpClient(http => http.BaseAddress = new Uri(server.BaseAddress, clientBase));
            }
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync(path);

        Assert.That(response.StatusCode, Is.EqualTo(status));
        Assert.That(await response.Content.ReadAsStringAsync(), status == HttpStatusCode.OK ? Does.Contain("offers") : Does.StartWith("{\"error\":\"Not Found\",\"trace\":\""));
    }

    [TestCase("/auth", false, "offers:200 ofers:404")]
    [TestCase("/v1.0/auth", false, "offers:200 ofers:404")]
    [TestCase("/auth", true, "offers:200 ofers:404")]
    public async Task Auth_is_where_it_is_and_with_a_token_the_wall_lets_through(string authPath, bool hasWall, string expected)
    {
        await using StandInServer server = await Start(o => o with { AuthPath = authPath, HasWall = hasWall });
        await using TestApp app = server.App(o => o.AuthEndpoint = new Uri(server.BaseAddress, authPath));
        using HttpClient client = app.Client();

        using HttpResponseMessage offers = await client.GetAsync("offers");
        using HttpResponseMessage misspelt = await client.GetAsync("ofers");

        Assert.That($"offers:{(int)offers.StatusCode} ofers:{(int)misspelt.StatusCode}", Is.EqualTo(expected));
    }

    [TestCase(false, "/v1.0/auth", 404)]
    [TestCase(true, "/v1.0/auth", 401)]
    [TestCase(true, "/v1.0/ofers", 401)]
    [TestCase(true, "/ofers", 404)]
    [TestCase(false, "/v1.0/offers", 401)]
    public async Task Without_a_token_the_wall_looks_at_no_path(bool hasWall, string path, int status)
    {
        await using StandInServer server = await Start(o => o with { AuthPath = "/auth", HasWall = hasWall });
        using var client = new HttpClient { BaseAddress = server.BaseAddress };

        using HttpResponseMessage response = await client.PostAsync(path, null);

        Assert.That((int)response.StatusCode, Is.EqualTo(status));
        Assert.That(await response.Content.ReadAsStringAsync(), status == 401 && hasWall ? Is.Empty : Is.Not.Empty);
    }

    [TestCase("wrong", false, "{\"error\":\"Invalid credentials\"}")]
    [TestCase("wrong", true, "")]
    [TestCase(null, false, "")]
    public async Task Credentials_that_are_wrong_are_answered_401_with_an_error_or_without(string? key, bool hasEmptyErrors, string body)
    {
        await using StandInServer server = await Start(o => o with { HasEmptyErrors = hasEmptyErrors });
        using var client = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.BaseAddress, "auth")) { Headers = { { "X-Auth-Identity", server.Options.Identity } } };
        if (key is not null)
        {
            request.Headers.Add("X-Auth-Key", key);
        }

        using HttpResponseMessage response = await client.SendAsync(request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(body));
    }

    [Test]
    public async Task Several_identities_have_tokens_of_their_own()
    {
        string key = SecretSweep.NewSecret("key");
        await using StandInServer server = await Start(o => o with { Accounts = new Dictionary<string, string> { ["second"] = key } });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddSparkflyAuth("second", o =>
            {
                o.Use(server);
                (o.Identity, o.Key) = ("second", key);
            });
        });
        SparkflyToken first = await app.Tokens.GetTokenAsync();
        SparkflyToken second = await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("second").GetTokenAsync();

        server.RevokeTokens("second");

        Assert.That((server.IsGood(first.Value), server.IsGood(second.Value)), Is.EqualTo((true, false)));
    }

    [TestCase("{", 400, "{\"parse_error\":")]
    [TestCase("{}", 422, "{\"errors\":{")]
    public async Task A_body_that_is_wrong_is_answered_in_the_service_s_shapes(string json, int status, string body)
    {
        await using StandInServer server = await Start();
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.PostAsync("members", new StringContent(json, Encoding.UTF8, "application/json"));
        using HttpResponseMessage good = await client.PostAsJsonAsync("members", new { email = "a@b.example" });

        Assert.That((int)response.StatusCode, Is.EqualTo(status));
        Assert.That(await response.Content.ReadAsStringAsync(), Does.StartWith(body));
        Assert.That(good.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    private static Task<StandInServer> Start(Func<StandInOptions, StandInOptions>? change = null)
    {
        IReadOnlyList<string>? paths = new StandInOptions().Paths;
        return Sparkfly.StartAsync(o => change is null ? o with { Paths = paths } : change(o with { Paths = paths }));
    }
}
