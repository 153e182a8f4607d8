using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 5.1 and 5.3: a call without a token is not made, and the exception says what was asked, what came back and what to do.</summary>
public class TokenRequestFailureTests
{
    private static readonly TimeSpan s_authTimeout = new SparkflyAuthOptions().AuthTimeout;

    [Test]
    public async Task Rejected_credentials_are_told_with_Sparkfly_s_own_words()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = server.App(static o => o.Key = SecretSweep.NewSecret("wrong"));

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Contain($"POST {server.BaseAddress}auth was answered 401 (Unauthorized): \"Invalid credentials\".")
            .And.Contain("check Identity and Key"));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(exception.RetryAt, Is.EqualTo(app.Time.Start + TimeSpan.FromMinutes(1)));
    }

    [TestCase(400, false, "Check BaseAddress and AuthEndpoint")]
    [TestCase(403, false, "check Identity and Key")]
    [TestCase(406, false, "Check BaseAddress and AuthEndpoint")]
    [TestCase(408, true, "passes")]
    [TestCase(429, true, "passes")]
    [TestCase(500, true, "passes")]
    [TestCase(502, true, "passes")]
    [TestCase(503, true, "passes")]
    [TestCase(504, true, "passes")]
    [TestCase(501, false, "Check BaseAddress and AuthEndpoint")]
    [TestCase(505, false, "Check BaseAddress and AuthEndpoint")]
    [TestCase(599, true, "passes")]
    public async Task An_answer_without_success_is_told_with_its_status_and_what_to_do(int status, bool isTransient, string advice)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(status, "{}");
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Contain($"POST {server.BaseAddress}auth was answered {status} ({(HttpStatusCode)status}). ").And.Contain(advice));
        Assert.That(exception.AuthStatusCode, Is.EqualTo((HttpStatusCode)status));
        Assert.That(exception.StatusCode, Is.Null);
        Assert.That(exception.IsTransient, Is.EqualTo(isTransient));
        Assert.That(exception.RetryAt, Is.EqualTo(app.Time.Start + (status == 403 ? TimeSpan.FromMinutes(1) : TimeSpan.FromSeconds(1))));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [TestCase(300)]
    [TestCase(301)]
    [TestCase(302)]
    [TestCase(303)]
    [TestCase(307)]
    [TestCase(308)]
    public async Task A_redirect_is_not_followed_and_told_with_the_origin_it_leads_to(int status)
    {
        await using StandInServer elsewhere = await Sparkfly.StartAsync();
        await using StandInServer server = await Sparkfly.StartAsync();
        string session = SecretSweep.NewSecret("session");
        server.OnTokenRequest = context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = new Uri(elsewhere.BaseAddress, $"auth?session={session}").AbsoluteUri;
            return Task.FromResult(true);
        };
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Contain($"{status} ")
            .And.Contain($"a redirect to {elsewhere.BaseAddress.GetLeftPart(UriPartial.Authority)}, ")
            .And.Contain("set BaseAddress or AuthEndpoint")
            .And.Not.Contain(session));
        Assert.That(exception.AuthStatusCode, Is.EqualTo((HttpStatusCode)status));
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(elsewhere.TokenRequests, Is.Zero);
    }

    [TestCase("", "That is a redirect, ")]
    [TestCase("//", "That is a redirect, ")]
    [TestCase("http://[", "That is a redirect, ")]
    [TestCase("/elsewhere", "That is a redirect to http://127.0.0.1:")]
    public async Task A_redirect_to_wherever_is_told_as_one(string location, string told)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = context =>
        {
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = location;
            return Task.FromResult(true);
        };
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Contain(told));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Found));
    }

    [Test]
    public async Task A_service_that_does_not_answer_is_given_up_after_AuthTimeout()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var asked = new TaskCompletionSource();
        server.OnTokenRequest = async context =>
        {
            asked.TrySetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(static _ => { }, TaskScheduler.Default);
            return true;
        };
        await using TestApp app = server.App(static o => o.AuthTimeout = TimeSpan.FromSeconds(7));

        await GivesUpAfter(app, asked.Task, TimeSpan.FromSeconds(7), "AuthTimeout (00:00:07)");

        Assert.That(server.ApiRequests, Is.Zero);
    }

    [Test]
    public async Task A_handler_that_does_not_heed_its_cancellation_token_is_given_up_after_AuthTimeout_too()
    {
        var asked = new TaskCompletionSource();
        await using TestApp app = ScriptedApp((_, _) =>
        {
            asked.TrySetResult();
            return new TaskCompletionSource<HttpResponseMessage>().Task;
        });

        await GivesUpAfter(app, asked.Task, s_authTimeout, "AuthTimeout (00:00:30)");
    }

    [Test]
    public async Task A_shorter_limit_that_ConfigureAuthClient_sets_is_a_timeout_as_well()
    {
        await using TestApp app = ScriptedApp(
            static async (_, cancellationToken) =>
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
                throw new InvalidOperationException("unreachable");
            },
            static client => client.ConfigureHttpClient(static http => http.Timeout = TimeSpan.FromMilliseconds(20)));

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain("a shorter limit of the application's"));
        Assert.That(exception.IsTransient, Is.True);
        Assert.That(exception.AuthStatusCode, Is.Null);
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task A_body_that_does_not_come_leaves_the_status(bool heedsCancellation)
    {
        using var body = new StalledStream(heedsCancellation);
        await using TestApp app = ScriptedApp((_, _) => Task.FromResult(
            new HttpResponseMessage(HttpStatusCode.Unauthorized) { Content = new StreamContent(body) }));

        Task<SparkflyAuthenticationException> failing =
            Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        await body.Reading.WaitAsync(TestApp.Patience);
        app.Time.Advance(s_authTimeout);
        SparkflyAuthenticationException exception = await failing;

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), exception.Message);
    }

    [Test]
    public async Task An_endless_body_is_not_read_to_its_end()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = static async context =>
        {
            context.Response.StatusCode = 500;
            await context.Response.WriteAsync("""{"error": "for ever""");
            byte[] more = Encoding.ASCII.GetBytes(new string('r', 8192));
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.Body.WriteAsync(more);
            }

            return true;
        };
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.InternalServerError));
    }

    [Test]
    public async Task Where_nobody_listens_it_is_told_with_the_platform_s_exception()
    {
        using var port = new SilentPort();
        await using var app = new TestApp(services => services.AddSparkflyAuth(options =>
        {
            options.BaseAddress = port.BaseAddress;
            (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
        }));

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain($"POST {port.BaseAddress}auth got no answer (ConnectionError: ").And.Contain("Is the address right"));
        Assert.That(exception.IsTransient, Is.True);
        Assert.That(exception.AuthStatusCode, Is.Null);
        Assert.That(exception.InnerException, Is.TypeOf<HttpRequestException>());
    }

    [TestCase("without a token")]
    [TestCase("without a token", "X-Auth-Token:")]
    [TestCase("without a token", "X-Auth-Token:  ")]
    [TestCase("without a token", "X-Auth-Token: ,")]
    [TestCase("with 2 tokens", "X-Auth-Token: one", "X-Auth-Token: two")]
    [TestCase("with 2 tokens", "X-Auth-Token: one, two")]
    [TestCase("with 3 tokens", "X-Auth-Token: one,two", "x-auth-token: three")]
    [TestCase("is not a valid header value", "X-Auth-Token: one two")]
    [TestCase("is not a valid header value", "X-Auth-Token: one\ttwo")]
    [TestCase("is not a valid header value", "X-Auth-Token: \u00f6ne")]
    [TestCase("is not a valid header value", "X-Auth-Token: one\u0001")]
    public async Task A_204_without_one_good_token_is_told(string told, params string[] fields)
    {
        await using var server = new WireServer(_ => WireServer.NoContent(fields));
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.BaseAddress = server.BaseAddress;
                (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
            });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(exception.Message, Does.Contain($"POST {server.BaseAddress}auth was answered 204 (NoContent) ").And.Contain(told)
            .And.Contain("proxy").And.Not.Contain("one\ttwo").And.Not.Contain("one two"));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.NoContent));
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(server.Heads, Has.Count.EqualTo(1), "the token request alone");
    }

    [TestCase(200)]
    [TestCase(202)]
    public async Task A_success_without_a_token_is_told_with_Sparkfly_s_own_words(int status)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(status, """{"error": "The account is locked"}""");
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Contain($"POST {server.BaseAddress}auth was answered {status} ({(HttpStatusCode)status}) without a token: ")
            .And.Contain("Its error is \"The account is locked\"."));
        Assert.That(exception.IsTransient, Is.False);
    }

    public static TestCaseData[] Texts() =>
    [
        Text("one line", "line one\r\nline two\u2028line three\u0007!", "line one  line two line three !"),
        Text("shortened", new string('x', 300), new string('x', 200) + "…"),
        Text("not shortened", new string('x', 200), new string('x', 200)),
        Text("shortened before a surrogate pair", new string('x', 199) + "\U0001F354!", new string('x', 199) + "…"),
        Text("shortened after a surrogate pair", new string('x', 198) + "\U0001F354!", new string('x', 198) + "\U0001F354…"),
        Text("marks that reverse a line", "a\u202eb\u2066c", "a b c"),
    ];

    [TestCaseSource(nameof(Texts))]
    public async Task Sparkfly_s_own_text_is_told_in_one_short_line(string text, string told)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(400, JsonSerializer.Serialize(new { error = text }));
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Contain($"(BadRequest): \"{told}\". "));
    }

    public static TestCaseData[] Echoes() =>
    [
        Echo("the key", static (_, key) => $"key {key} is unknown"),
        Echo("the identity", static (identity, _) => $"account {identity} is unknown"),
        Echo("the start of the key", static (_, key) => $"key {key[..8]}… is unknown"),
        Echo("the end of the key", static (_, key) => $"key …{key[^8..]}"),
        Echo("the middle of the identity", static (identity, _) => identity[9..19]),
        Echo("the key in capitals", static (_, key) => key.ToUpperInvariant()),
    ];

    [TestCaseSource(nameof(Echoes))]
    public async Task Sparkfly_s_own_text_is_left_out_where_it_holds_a_secret_or_a_part_of_one(Func<string, string, string> echo)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        string text = $"Sorry: {echo(server.Options.Identity, server.Options.Key)}";
        server.OnTokenRequest = Answer(401, JsonSerializer.Serialize(new { error = text }));
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.Message, Does.Not.Contain("Sorry").And.Contain("401 (Unauthorized). "));
        Assert.That(app.Log, Has.None.Contains("Sorry"));
    }

    [TestCase("account 17 is unknown", false)]
    [TestCase("17", false)]
    [TestCase("at 20:17", false)]
    [TestCase("since 2017", true)]
    [TestCase("on 17th", true)]
    public async Task A_short_identity_counts_as_a_word(string text, bool isTold)
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { Identity = "17" });
        server.OnTokenRequest = Answer(401, JsonSerializer.Serialize(new { error = text }));
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(exception.Message.Contains($"\"{text}\"", StringComparison.Ordinal), Is.EqualTo(isTold), exception.Message);
    }

    [TestCase("")]
    [TestCase("<html>Bad gateway</html>")]
    [TestCase("[]")]
    [TestCase("null")]
    [TestCase("""{"error": 17}""")]
    [TestCase("""{"error": null}""")]
    [TestCase("""{"error": " "}""")]
    [TestCase("""{"error": {"error": "inner"}}""")]
    [TestCase("""{"error": "half a pair \ud800"}""")]
    [TestCase("""{"\ud800": "half a pair", "error": 1}""")]
    [TestCase("""{"error": "cut""", TestName = "{m}(a cut text)")]
    public async Task A_body_that_says_nothing_leaves_the_status(string body)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(401, body);
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await CallFails(app, server);

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), exception.Message);
        Assert.That(exception.Message, Does.Contain("was answered 401 (Unauthorized). "));
    }

    [Test]
    public async Task An_exception_that_shows_the_key_is_told_by_its_type_alone()
    {
        await using TestApp app = ScriptedApp(static (request, _) =>
            throw new InvalidOperationException($"Sorry, cannot send {request.Headers.GetValues("X-Auth-Key").Single()}"));

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.ToString(), Does.Contain("(InvalidOperationException)").And.Not.Contain("Sorry"));
        Assert.That(exception.InnerException, Is.Null);
        Assert.That(exception.IsTransient, Is.False, "a pipeline that is built wrongly stays so");
    }

    [Test]
    public async Task An_exception_that_shows_no_secret_is_told_in_one_line_and_is_the_cause()
    {
        var cause = new HttpRequestException(HttpRequestError.NameResolutionError, "no such\nhost");
        await using TestApp app = ScriptedApp((_, _) => throw cause);

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain("(NameResolutionError: no such host)"));
        Assert.That(exception.InnerException, Is.SameAs(cause));
        Assert.That(exception.IsTransient, Is.True);
    }

    [Test]
    public async Task Callers_during_the_backoff_are_told_the_same_reason_and_when_it_ends()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = context =>
        {
            context.Response.StatusCode = 503;
            context.Response.Headers.RetryAfter = "120";
            return Task.FromResult(true);
        };
        await using TestApp app = server.App();

        SparkflyAuthenticationException first = await CallFails(app, server);
        SparkflyAuthenticationException second = await CallFails(app, server);

        Assert.That(second, Is.Not.SameAs(first), "each caller throws its own");
        Assert.That(second.Message, Is.EqualTo(first.Message).And.Contain("2026-01-01 00:02:00Z"));
        Assert.That(second.RetryAt, Is.EqualTo(app.Time.Start + TimeSpan.FromMinutes(2)));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_named_account_is_named_in_the_message()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = Answer(500, "");
        await using var app = new TestApp(services => services.AddSparkflyAuth("brand", o => o.Use(server)));

        var exception = await Thrown.By<SparkflyAuthenticationException>(
            () => app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("brand").GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.StartWith("Sparkfly account 'brand': "));
    }

    private static TestCaseData Text(string what, string text, string told) => new TestCaseData(text, told).SetArgDisplayNames(what);

    private static TestCaseData Echo(string what, Func<string, string, string> echo) => new TestCaseData(echo).SetArgDisplayNames(what);

    private static Func<HttpContext, Task<bool>> Answer(int status, string body) => async context =>
    {
        context.Response.StatusCode = status;
        await context.Response.WriteAsync(body);
        return true;
    };

    /// <summary>The exception that a call ends with; it holds no secret, and the API was not called.</summary>
    private static async Task<SparkflyAuthenticationException> CallFails(TestApp app, StandInServer server)
    {
        using HttpClient client = app.Client();

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));

        Assert.That(server.ApiRequests, Is.Zero, "calls of the API");
        Assert.That(exception.ToString(), Does.Not.Contain(server.Options.Key).IgnoreCase.And.Not.Contain(server.Options.Identity).IgnoreCase);
        return exception;
    }

    private static async Task GivesUpAfter(TestApp app, Task asked, TimeSpan timeout, string told)
    {
        Task<SparkflyAuthenticationException> failing =
            Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        await asked.WaitAsync(TestApp.Patience);
        app.Time.Advance(timeout - TimeSpan.FromTicks(1));
        Assert.That(failing.IsCompleted, Is.False, "a moment before the timeout");

        app.Time.Advance(TimeSpan.FromTicks(1));
        SparkflyAuthenticationException exception = await failing;

        Assert.That(exception.Message, Does.Contain(told).And.Contain("Is the address right"));
        Assert.That(exception.IsTransient, Is.True);
        Assert.That(exception.AuthStatusCode, Is.Null);
        Assert.That(exception.RetryAt, Is.EqualTo(app.Time.Start + timeout + TimeSpan.FromSeconds(1)));
    }

    /// <summary>An application whose token requests are answered by the test.</summary>
    private static TestApp ScriptedApp(
        Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>> answer, Action<IHttpClientBuilder>? configure = null) => new(services =>
        services.AddSparkflyAuth(static options =>
            (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
            .ConfigureAuthClient(client =>
            {
                client.ConfigurePrimaryHttpMessageHandler(() => new ScriptedPrimaryHandler(answer));
                configure?.Invoke(client);
            }));

    /// <summary>A body of which nothing ever comes.</summary>
    private sealed class StalledStream(bool heedsCancellation) : MemoryStream
    {
        private readonly TaskCompletionSource _reading = new();

        public Task Reading => _reading.Task;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            _reading.TrySetResult();
            await Task.Delay(Timeout.Infinite, heedsCancellation ? cancellationToken : CancellationToken.None);
            return 0;
        }
    }
}
