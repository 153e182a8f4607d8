using System.Net;
using Microsoft.Extensions.Time.Testing;
using Sparkfly.Auth.Handler.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Clients of the fake alone, clocks and accounts that a test gives, and what the fake shows of what came.</summary>
public class FakeSparkflyClientTests
{
    private readonly FakeSparkfly _sparkfly = new();

    [Test]
    public async Task A_client_has_the_options_that_the_test_gives_it()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        using HttpClient client = _sparkfly.CreateClient(static options =>
        {
            options.RetryOnUnauthorized = false;
            options.BaseAddress = new Uri("https://gateway.example/sparkfly/");
            options.Identity = "17";
        });
        (await client.GetAsync("offers")).Dispose();
        _sparkfly.RevokeTokens();

        using HttpResponseMessage response = await client.GetAsync("offers");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), "which was not retried");
            Assert.That(client.BaseAddress, Is.EqualTo(new Uri("https://gateway.example/sparkfly/")));
            Assert.That(_sparkfly.Requests.Select(static r => r.Identity), Is.EqualTo((string[])["17", "17"]));
        }
    }

    [Test]
    public async Task A_client_has_the_clock_that_the_test_gives_it_and_so_have_its_tokens()
    {
        var time = new FakeTimeProvider();
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        using HttpClient client = _sparkfly.CreateClient(timeProvider: time);
        (await client.GetAsync("offers")).Dispose();

        time.Advance(TimeSpan.FromDays(1));
        (await client.GetAsync("offers")).Dispose();

        Assert.That((_sparkfly.TokenRequests.Count, _sparkfly.Requests.Count), Is.EqualTo((2, 2)));
    }

    [Test]
    public async Task A_client_may_be_that_of_a_named_account()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        using HttpClient tacos = _sparkfly.CreateClient("tacos");
        using HttpClient bagels = _sparkfly.CreateClient("bagels", static o => o.Identity = "18");

        (await tacos.GetAsync("offers")).Dispose();
        (await bagels.GetAsync("offers")).Dispose();

        Assert.That(_sparkfly.Requests.Select(static r => r.Identity), Is.EqualTo((string[])["fake-identity-tacos", "18"]));
    }

    [Test]
    public void Options_that_are_wrong_fail_where_the_client_is_made() =>
        Assert.That(() => _sparkfly.CreateClient(static o => o.TokenLifetime = TimeSpan.Zero), Throws.Exception.With.Message.Contains("TokenLifetime"));

    [Test]
    public async Task A_clock_that_is_given_with_the_fake_is_the_container_s_whatever_the_type_of_its_variable([Values] bool hasItsOwn)
    {
        FakeTimeProvider time = new();
        var services = new ServiceCollection();
        if (hasItsOwn)
        {
            services.AddSingleton(TimeProvider.System);
        }

        services.AddSparkflyAuth(static _ => { });
        services.AddHttpClient("api").AddSparkflyAuthHandler();
        services.AddFakeSparkfly(_sparkfly, time);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        await using ServiceProvider provider = services.BuildServiceProvider();
        using HttpClient client = provider.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        (await client.GetAsync("offers")).Dispose();

        time.Advance(TimeSpan.FromDays(1));
        (await client.GetAsync("offers")).Dispose();

        Assert.That(provider.GetServices<TimeProvider>(), Is.EqualTo((TimeProvider[])[time]));
        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(2));
    }

    [Test]
    public async Task Accounts_that_are_named_with_the_fake_are_registered_beside_those_of_the_application([Values] bool isRegistered)
    {
        var services = new ServiceCollection();
        services.AddFakeSparkfly(_sparkfly, accounts: ["tacos", "bagels"]);
        if (isRegistered)
        {
            services.AddSparkflyAuth("bagels", static o => o.Identity = "18");
        }

        services.AddHttpClient("api", static http => http.BaseAddress = SparkflyEnvironments.Staging).AddSparkflyAuthHandler("tacos");
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        await using ServiceProvider provider = services.BuildServiceProvider();
        using HttpClient client = provider.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        request.SetSparkflyAccount("bagels");

        (await client.GetAsync("offers")).Dispose();
        (await client.SendAsync(request)).Dispose();

        Assert.That(_sparkfly.Requests.Select(static r => r.Identity), Is.EqualTo(
            (string[])["fake-identity-tacos", isRegistered ? "18" : "fake-identity-bagels"]));
    }

    [Test]
    public async Task A_request_shows_its_path_its_version_and_its_options()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        using HttpClient client = _sparkfly.CreateClient("tacos");
        var key = new HttpRequestOptionsKey<int>("attempt");
        using var message = new HttpRequestMessage(HttpMethod.Get, "offers?store=3") { Version = HttpVersion.Version20 };
        message.Options.Set(key, 17);
        message.SetSparkflyAccount("tacos");

        (await client.SendAsync(message)).Dispose();
        message.Options.Set(key, 18);

        FakeSparkflyRequest request = _sparkfly.Requests.Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(request.Path, Is.EqualTo("/v1.0/offers"), "as Uri.AbsolutePath");
            Assert.That(request.RelativePath, Is.EqualTo("offers"), "as the client writes it");
            Assert.That(request.Version, Is.EqualTo(HttpVersion.Version20));
            Assert.That(request.Options.TryGetValue(key, out int attempt) ? attempt : 0, Is.EqualTo(17), "what it was when it came");
            Assert.That(request.Options.TryGetValue(SparkflyRequestOptions.Account, out string? account) ? account : null, Is.EqualTo("tacos"));
            Assert.That(_sparkfly.TokenRequests.Single().Options, Is.Empty, "what it is made with has the key");
        }
    }

    [Test]
    public async Task It_shows_the_last_requests_without_secrets()
    {
        string identity = SecretSweep.NewSecret("identity");
        string key = SecretSweep.NewSecret("key");
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "menu", FakeSparkflyResponse.ConnectionReset());
        using HttpClient client = _sparkfly.CreateClient(o => (o.Identity, o.Key) = (identity, key));
        (await client.GetAsync("offers?store=3&session_token=17")).Dispose();
        _sparkfly.RevokeTokens();
        (await client.GetAsync("offers")).Dispose();
        await Thrown.By<HttpRequestException>(() => client.GetAsync("menu"));
        await Thrown.By<InvalidOperationException>(() => client.GetAsync("stores"));

        string shown = _sparkfly.ToString();

        Assert.That(shown.Split(Environment.NewLine), Is.EqualTo((string[])[
            "FakeSparkfly: requests 5, token requests 2",
            "  POST auth → 204",
            "  GET offers?store=3&session_token=… (token 1) → 200",
            "  GET offers (token 1) → 401",
            "  POST auth → 204",
            "  GET offers (token 2) → 200",
            "  GET menu (token 2) → HttpRequestException",
            "  GET stores (token 2) → no answer"]));
        Assert.That(_sparkfly.Requests[0].ToString(), Is.EqualTo("GET https://api-staging.sparkfly.com/v1.0/offers?store=3&session_token=…"));
        foreach (string secret in (string[])[identity, key, .. _sparkfly.Requests.Select(static r => r.Token!)])
        {
            Assert.That(shown, Does.Not.Contain(SecretSweep.Secret(secret)));
        }
    }

    [Test]
    public async Task It_shows_twenty_requests_at_most_each_of_a_bounded_length()
    {
        _sparkfly.Answer(HttpMethod.Get, "**", HttpStatusCode.OK);
        using HttpClient client = _sparkfly.CreateClient();
        for (int i = 0; i < 30; i++)
        {
            (await client.GetAsync($"offers/{new string('x', 1000)}")).Dispose();
        }

        string[] lines = _sparkfly.ToString().Split(Environment.NewLine);

        Assert.That(lines, Has.Length.EqualTo(21));
        Assert.That(lines[0], Is.EqualTo("FakeSparkfly: requests 30, token requests 1, the last 20"));
        Assert.That(lines, Has.All.Length.LessThan(250));
    }
}
