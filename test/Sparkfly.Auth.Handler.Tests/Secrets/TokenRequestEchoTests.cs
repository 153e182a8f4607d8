using System.Net;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 5.3 and 6.6: what the response to a token request repeats of a secret is shown nowhere, and nothing of a message is long.</summary>
public class TokenRequestEchoTests
{
    private const int LongestPart = 500;

    [TestCase("https://{0}.evil.example/")]
    [TestCase("https://{0}.evil.example/{0}?{0}#{0}")]
    [TestCase("https://{0}@evil.example/", "https://evil.example")]
    [TestCase("https://evil.example/{0}?{0}#{0}", "https://evil.example")]
    [TestCase("{0}:nothing")]
    [TestCase("/{0}", "http://127.0.0.1")]
    public async Task A_Location_that_holds_the_key_is_told_by_its_origin_unless_that_holds_it(string location, string? told = null)
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { Key = SecretSweep.Secret($"key{Guid.NewGuid():N}") });
        server.OnTokenRequest = Redirect(string.Format(System.Globalization.CultureInfo.InvariantCulture, location, server.Options.Key));
        await using TestApp app = ShowingApp(server);

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.Message, Does.Contain(told is null ? "That is a redirect, and a token request" : $"That is a redirect to {told}"));
        ShowsNone(exception, app, server.Options.Key);
    }

    [TestCase("https://{0}.example/")]
    [TestCase("https://evil.example/{0}")]
    [TestCase("https://evil.example:{0}/")]
    [TestCase("scheme:{0}")]
    [TestCase("{0}")]
    public async Task A_Location_of_49_KB_makes_no_long_message(string location)
    {
        await using var server = new WireServer(_ =>
            $"HTTP/1.1 302 Found\r\nLocation: {string.Format(System.Globalization.CultureInfo.InvariantCulture, location, new string('1', 49 * 1024))}\r\nContent-Length: 0\r\n\r\n");
        await using TestApp app = WireApp(server);

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.Message, Has.Length.LessThan(3 * LongestPart).And.Contain("That is a redirect"));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Found));
    }

    [Test]
    public async Task No_part_of_a_message_is_longer_than_500_characters_whatever_a_handler_throws()
    {
        await using var app = new TestApp(static services => services
            .AddSparkflyAuth(static o => (o.Identity, o.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
            .ConfigureAuthClient(static client => client.ConfigurePrimaryHttpMessageHandler(static () =>
                new ScriptedPrimaryHandler(static (_, _) => throw new HttpRequestException(new string('x', 49 * 1024))))));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.Message, Does.Not.Contain(new string('x', LongestPart + 1)).And.Contain("xxx"));
        Assert.That(exception.Message, Has.Length.LessThan(3 * LongestPart));
    }

    /// <summary>To look for each of them would take long.</summary>
    [TestCase(16, true)]
    [TestCase(17, false)]
    public async Task Of_a_response_with_more_than_sixteen_tokens_no_header_is_shown_to_a_handler(int count, bool isShown)
    {
        IEnumerable<string>? seen = null;
        using var primary = new FakePrimary(_ =>
        {
            var answer = new HttpResponseMessage(HttpStatusCode.NoContent) { Headers = { { "X-Plain", "plain" } } };
            answer.Headers.Add("X-Auth-Token", Enumerable.Range(0, count).Select(static _ => SecretSweep.NewSecret("token")));
            return answer;
        });
        await using var app = new TestApp(services => services
            .AddSparkflyAuth(static o => (o.Identity, o.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
            .ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(() => primary).AddHttpMessageHandler(() => new InlineHandler(async (request, send) =>
            {
                HttpResponseMessage response = await send(request);
                seen = response.Headers.Select(static h => h.Key);
                return response;
            }))));

        await Fails(app);

        Assert.That(seen, isShown ? Is.EqualTo((string[])["X-Plain"]) : Is.Empty);
    }

    /// <summary>Which token the error text holds.</summary>
    public enum Echoed
    {
        TheOneToBeReplaced,
        AnEarlierOne,
        TheNewOne,
        APartOfTheNewOne,
    }

    [Test]
    public async Task An_error_text_that_holds_a_token_is_left_out([Values] Echoed echoed, [Values(200, 401, 500)] int status)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = ShowingApp(server);
        string earlier = server.IssueToken();

        // Not as Sparkfly makes them, which are known by their look.
        string created = SecretSweep.NewSecret("created");
        SparkflyToken live = await app.Tokens.GetTokenAsync();
        string text = echoed switch
        {
            Echoed.TheOneToBeReplaced => live.Value,
            Echoed.AnEarlierOne => earlier,
            Echoed.TheNewOne => created,
            _ => created[8..24],
        };
        server.OnTokenRequest = async context =>
        {
            context.Response.StatusCode = status;
            if (echoed is Echoed.TheNewOne or Echoed.APartOfTheNewOne)
            {
                // Two tokens are none.
                context.Response.Headers["X-Auth-Token"] = (string[])[created, SecretSweep.NewSecret("token")];
            }

            await context.Response.WriteAsync($$"""{"error": "Sorry: {{text}}"}""");
            return true;
        };

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(live).AsTask());

        Assert.That(exception.Message, Does.Contain($"was answered {status} ").And.Not.Contain("Sorry"));
        ShowsNone(exception, app, text);
    }

    public static Head[] Malformed() =>
    [
        new("a line without a colon", "HTTP/1.1 204 No Content\r\n{0}\r\n\r\n"),
        new("a name that is none", "HTTP/1.1 204 No Content\r\nX Auth {0}: 1\r\n\r\n"),
        new("a line that goes on", "HTTP/1.1 204 No Content\r\n {0}\r\n\r\n"),
        new("a status line", "{0} 204 No Content\r\n\r\n"),
        new("a status", "HTTP/1.1 {0}\r\n\r\n"),
        new("a reason", "HTTP/1.1 401 {0}\r\nContent-Length: 0\r\n\r\n"),
        new("a name", "HTTP/1.1 401 Unauthorized\r\n{0}: 1\r\nContent-Length: 0\r\n\r\n"),
        new("a value", "HTTP/1.1 401 Unauthorized\r\nX-Echo: {0}\r\nContent-Length: 0\r\n\r\n"),
        new("a length", "HTTP/1.1 401 Unauthorized\r\nContent-Length: {0}\r\n\r\n"),
        new("a header of content", "HTTP/1.1 401 Unauthorized\r\nContent-Language: {0}\r\nContent-Length: 0\r\n\r\n"),
        new("a chunk", "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n{0}\r\n"),
    ];

    /// <summary>Inner exceptions included, and the log of the factory, which shows headers at Trace.</summary>
    [Test]
    public async Task What_the_head_of_a_response_repeats_is_in_no_exception_and_no_log([ValueSource(nameof(Malformed))] Head head, [Values] bool isToken)
    {
        // Not known to the sweep: the platform's own activity has its own exception, with the line.
        string key = $"key-{Guid.NewGuid():N}";
        string token = $"token-{Guid.NewGuid():N}";
        bool isMalformed = false;
        string secret = isToken ? token : key;
        await using var server = new WireServer(Answer) { ClosesIdleConnections = true };
        await using TestApp app = WireApp(server, key);
        SparkflyToken live = await app.Tokens.GetTokenAsync();
        isMalformed = true;

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(live).AsTask());

        ShowsNone(exception, app, secret);

        string Answer(string request) => isMalformed
            ? string.Format(System.Globalization.CultureInfo.InvariantCulture, head.Text, secret)
            : WireServer.NoContent($"X-Auth-Token: {token}");
    }

    [Test]
    public async Task A_Retry_After_that_happens_to_be_the_identity_is_kept_to()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { Identity = "120" });
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = 503;
            context.Response.Headers.RetryAfter = "120";
            return Task.FromResult(true);
        };
        await using TestApp app = server.App();

        Assert.That((await Fails(app)).RetryAt, Is.EqualTo(app.Time.Start + TimeSpan.FromMinutes(2)));
    }

    [Test]
    public async Task A_second_Retry_After_and_a_Content_Length_that_is_none_are_shown_without_the_key(
        [Values("Retry-After: 1\r\nRetry-After: {0}\r\nContent-Length: 0", "Content-Length: {0}")] string fields)
    {
        string key = string.Concat(Enumerable.Range(0, 8).Select(static _ => Random.Shared.Next(1000, 10_000)));
        string shown = Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(key));
        string answer = string.Format(System.Globalization.CultureInfo.InvariantCulture, $"HTTP/1.1 503 Service Unavailable\r\n{fields}\r\n\r\n", shown);
        await using var server = new WireServer(_ => answer) { ClosesIdleConnections = true };
        await using TestApp app = WireApp(server, key);

        ShowsNone(await Fails(app), app, shown);
    }

    private static Func<HttpContext, Task<bool>> Redirect(string location) => context =>
    {
        context.Response.StatusCode = 302;
        context.Response.Headers.Location = location;
        return Task.FromResult(true);
    };

    private static Task<SparkflyAuthenticationException> Fails(TestApp app) =>
        Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

    /// <summary>An application that has chosen to see all headers in its log.</summary>
    private static TestApp ShowingApp(StandInServer server) => new(services =>
        services.AddSparkflyAuth(o => o.Use(server)).ConfigureAuthClient(static client => client.RedactLoggedHeaders(static _ => false)));

    private static TestApp WireApp(WireServer server, string? key = null) => new(services => services.AddSparkflyAuth(options =>
    {
        options.BaseAddress = server.BaseAddress;
        (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), key ?? SecretSweep.NewSecret("key"));
    }).ConfigureAuthClient(static client => client.RedactLoggedHeaders(static _ => false)));

    private static void ShowsNone(Exception exception, TestApp app, string secret)
    {
        for (Exception? shown = exception; shown is not null; shown = shown.InnerException)
        {
            Assert.That(shown.ToString(), Does.Not.Contain(secret).IgnoreCase);
        }

        Assert.That(app.Log, Has.Some.Contains("POST"), "the factory does log, or this shows nothing");
        Assert.That(app.Log, Has.None.Contains(secret).IgnoreCase);
    }

    /// <summary>The head of a response, with the secret where <c>{0}</c> is.</summary>
    public sealed record Head(string What, string Text)
    {
        public override string ToString() => What;
    }
}
