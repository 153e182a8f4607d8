using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.6: credentials and tokens appear in no log, scope, exception, trace or <c>ToString()</c>.</summary>
public class RedactionTests
{
    /// <summary>What an application that chose its own redaction of logged headers has said.</summary>
    public enum Chosen
    {
        Nothing,
        AList,
        APredicateThatRedactsNothing,
    }

    /// <summary>Where and when it said it.</summary>
    public enum Place
    {
        ClientBefore,
        ClientAfter,
        DefaultsBefore,
        DefaultsAfter,
        PostConfigureBefore,
        PostConfigureAfter,
    }

    /// <summary>Our own token and key are on no message that a log sees, so the callers' and the API's are what there is to redact.</summary>
    [Test]
    public async Task The_log_at_Trace_shows_headers_and_no_secret_whatever_redaction_the_application_chose(
        [Values] Chosen chosen, [Values] Place place, [Values] bool isOwnRegistration, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<string> tokens = IssuedTokens(sparkfly);
        string callersToken = SecretSweep.NewSecret("callers-token");
        string answeredToken = SecretSweep.NewSecret("answered-token");
        sparkfly.OnApiRequest = context =>
        {
            context.Response.Headers["X-Auth-Token"] = answeredToken;
            return Task.FromResult(false);
        };
        await using var app = new TestApp(services =>
        {
            if (place == Place.DefaultsBefore)
            {
                services.ConfigureHttpClientDefaults(client => Choose(client, chosen));
            }

            if (place == Place.ClientBefore)
            {
                Choose(services.AddHttpClient("api"), chosen);
            }

            if (place == Place.PostConfigureBefore)
            {
                ChooseLast(services, chosen);
            }

            services.AddSparkflyAuth(options => options.Use(sparkfly))
                .ConfigureAuthClient(client => Choose(client, place is Place.ClientBefore or Place.ClientAfter ? chosen : Chosen.Nothing));
            IHttpClientBuilder api = services.AddHttpClient("api");
            _ = isOwnRegistration ? api.AddSparkflyAuthHandler() : api.AddHttpMessageHandler<SparkflyAuthHandler>();
            if (place == Place.ClientAfter)
            {
                Choose(api, chosen);
            }

            if (place == Place.DefaultsAfter)
            {
                services.ConfigureHttpClientDefaults(client => Choose(client, chosen));
            }

            if (place == Place.PostConfigureAfter)
            {
                ChooseLast(services, chosen);
            }
        });
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAs(sending, new Uri(sparkfly.BaseAddress, "offers"));
        sparkfly.RevokeTokens();
        using HttpResponseMessage replayed = await client.SendAs(
            sending, new HttpRequestMessage(HttpMethod.Get, new Uri(sparkfly.BaseAddress, "offers")) { Headers = { { "X-Auth-Token", callersToken } } });

        // As a generated client does, which has a method for the token request.
        using HttpResponseMessage own = await client.SendAs(sending, new HttpRequestMessage(HttpMethod.Post, new Uri(sparkfly.BaseAddress, "auth"))
        {
            Headers = { { "X-Auth-Identity", sparkfly.Options.Identity }, { "X-Auth-Key", sparkfly.Options.Key } },
        });

        Assert.That((replayed.StatusCode, own.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.NoContent)));
        Assert.That(tokens, Has.Count.EqualTo(3));
        string log = string.Join('\n', app.Log);
        Assert.That(log, Does.Contain("X-Auth-Token: *").And.Contain("X-Auth-Key: *").And.Contain("X-Auth-Identity: *"), "the factory does log headers, or this shows nothing");
        foreach (string secret in (string[])[.. tokens, sparkfly.Options.Key, sparkfly.Options.Identity, callersToken, answeredToken])
        {
            Assert.That(log, Does.Not.Contain(secret));
        }

        if (chosen != Chosen.Nothing)
        {
            Assert.That(log, Does.Contain("IE=Edge"), "what the application chose to see is still shown");
        }
    }

    [Test]
    public async Task No_log_of_the_factory_has_as_much_as_the_names_of_our_headers([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly)).ConfigureAuthClient(static client => Choose(client, Chosen.APredicateThatRedactsNothing));
            Choose(services.AddHttpClient("api").AddSparkflyAuthHandler(), Chosen.APredicateThatRedactsNothing);
        });
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAs(sending, "offers");
        sparkfly.RevokeTokens();
        using HttpResponseMessage replayed = await client.GetAs(sending, "offers");

        string log = string.Join('\n', app.Log);
        Assert.That(replayed.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(log, Does.Contain("Accept: application/json"), "headers of the token request");
        Assert.That(log, Does.Contain("IE=Edge"), "headers of responses");
        Assert.That(log, Does.Not.Contain("X-Auth-").IgnoreCase);
    }

    [Test]
    public async Task A_token_that_its_response_repeats_in_another_header_is_in_no_log([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<string> tokens = IssuedTokens(sparkfly);
        sparkfly.OnTokenRequest = context =>
        {
            sparkfly.AnswerWithToken(context);
            context.Response.Headers.SetCookie = $"token={context.Response.Headers["X-Auth-Token"]}; path=/";
            return Task.FromResult(true);
        };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
            ChooseLast(services, Chosen.APredicateThatRedactsNothing);
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");
        sparkfly.RevokeTokens();
        using HttpResponseMessage replayed = await client.GetAs(sending, "offers");

        Assert.That((response.StatusCode, replayed.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.OK)));
        Assert.That(tokens, Has.Count.EqualTo(2));
        Assert.That(string.Join('\n', app.Log), Does.Contain("IE=Edge").And.Not.Contain(tokens.First()).And.Not.Contain(tokens.Last()));
    }

    [Test]
    public async Task A_Retry_After_that_happens_to_be_the_identity_is_honoured()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync(static o => o with { Identity = "17" });
        sparkfly.OnTokenRequest = static async context =>
        {
            context.Response.Headers.RetryAfter = "17";
            return await Answer(503, "")(context);
        };
        await using TestApp app = sparkfly.App();

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.RetryAt, Is.EqualTo(app.Time.GetUtcNow() + TimeSpan.FromSeconds(17)));
    }

    /// <summary>The platform's message repeats the line.</summary>
    [Test]
    public async Task A_token_in_a_malformed_line_of_a_response_is_in_no_exception_and_no_log(
        [Values("HTTP/1.1 204 No Content\r\nX-Auth-Token {0}\r\n\r\n", "HTTP/1.1 {0}\r\n\r\n", "HTTP/1.1 204 No Content\r\nX Auth Token: {0}\r\n\r\n")]
        string answer,
        [Values] Sending sending)
    {
        string token = SecretSweep.NewSecret("token");
        await using var sparkfly = new WireServer(_ => string.Format(System.Globalization.CultureInfo.InvariantCulture, answer, token));
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
                    (options.BaseAddress, options.Identity, options.Key) = (sparkfly.BaseAddress, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))

                // The platform's own activity of the POST records the platform's exception, inside the primary handler. So this one has none.
                .ConfigureAuthClient(static client => client.ConfigurePrimaryHttpMessageHandler(
                    static () => new SocketsHttpHandler { ActivityHeadersPropagator = null }));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
            ChooseLast(services, Chosen.APredicateThatRedactsNothing);
        });
        using HttpClient client = app.Client();

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAs(sending, "offers"));

        Assert.That(exception.Message, Does.Contain("InvalidResponse: The response was not valid HTTP."));
        Assert.That($"{exception} {string.Join('\n', app.Log)}", Does.Not.Contain(token));
    }

    [Test]
    public async Task A_token_in_a_malformed_line_of_an_API_response_is_in_no_exception_and_no_log(
        [Values("X-Echo {0}", "X Echo: {0}")] string line, [Values] bool isWarm, [Values] Sending sending)
    {
        string token = SecretSweep.NewSecret("token");
        await using WireServer sparkfly = ServerOf(token, string.Format(System.Globalization.CultureInfo.InvariantCulture, line, token));
        await using TestApp app = AppOf(sparkfly);
        using HttpClient client = app.Client();
        if (isWarm)
        {
            await app.Tokens.GetTokenAsync();
        }

        HttpRequestException exception = await Thrown.By<HttpRequestException>(() => client.GetAs(sending, "offers"));

        Assert.That(exception.HttpRequestError, Is.EqualTo(HttpRequestError.InvalidResponse));
        Assert.That($"{exception} {string.Join('\n', app.Log)}", Does.Not.Contain(token));
    }

    [Test]
    public async Task A_malformed_line_of_an_API_response_without_the_token_is_in_the_platforms_exception([Values] bool isWarm, [Values] Sending sending)
    {
        await using WireServer sparkfly = ServerOf(SecretSweep.NewSecret("token"), "X-Malformed line");
        await using TestApp app = AppOf(sparkfly);
        using HttpClient client = app.Client();
        if (isWarm)
        {
            await app.Tokens.GetTokenAsync();
        }

        HttpRequestException exception = await Thrown.By<HttpRequestException>(() => client.GetAs(sending, "offers"));

        Assert.That($"{exception}", Does.Contain("X-Malformed line"));
    }

    /// <summary>The service knows the token, and chooses where a redirect leads.</summary>
    [Test]
    public async Task A_redirect_to_a_host_that_repeats_the_token_is_logged_without_it([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        ConcurrentQueue<string> tokens = IssuedTokens(sparkfly);
        sparkfly.OnApiRequest = context =>
        {
            context.Response.StatusCode = StatusCodes.Status307TemporaryRedirect;
            context.Response.Headers.Location = $"http://{tokens.Single()[..32]}.example/";
            return Task.FromResult(true);
        };
        var network = new Network(asked => asked.Host == sparkfly.BaseAddress.Host ? sparkfly.BaseAddress : other.Address);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(network.Handler);
        });
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(app.Log.Count(static e => e.StartsWith("[Debug] Sparkfly.Auth.Handler[30]", StringComparison.Ordinal)), Is.EqualTo(1));
        Assert.That(app.Log, Has.None.Contains(tokens.Single()[..32]).IgnoreCase);
    }

    /// <summary>Each hop may repeat the token. After a 401 that is the new one.</summary>
    [Test]
    public async Task A_later_hop_that_repeats_the_token_is_logged_without_it_and_so_is_one_after_a_renewal([Values] bool isRenewed, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        ConcurrentQueue<string> tokens = IssuedTokens(sparkfly);
        sparkfly.OnApiRequest = context =>
        {
            bool isGood = sparkfly.IsGood(context.Request.Headers["X-Auth-Token"]);
            return isGood ? Redirect(context, "http://first.example/") : Task.FromResult(false);
        };
        other.Answer = context => context.Request.Host.Host == "first.example"
            ? Redirect(context, $"http://{tokens.Last()[..32]}.example/")
            : Task.CompletedTask;
        var network = new Network(asked => asked.Host == sparkfly.BaseAddress.Host ? sparkfly.BaseAddress : other.Address);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options => options.Use(sparkfly));
            services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(network.Handler);
        });
        using HttpClient client = app.Client();
        if (isRenewed)
        {
            await app.Tokens.GetTokenAsync();
            sparkfly.RevokeTokens();
        }

        using HttpResponseMessage response = await client.GetAs(sending, "offers");

        Assert.That((response.StatusCode, other.Requests.Count, tokens.Count), Is.EqualTo((HttpStatusCode.OK, 2, isRenewed ? 2 : 1)));
        Assert.That(app.Log.Count(static e => e.StartsWith("[Debug] Sparkfly.Auth.Handler[30]", StringComparison.Ordinal)), Is.EqualTo(2));
        Assert.That(app.Log, Has.None.Contains(tokens.Last()[..32]).IgnoreCase);

        static Task<bool> Redirect(HttpContext context, string location)
        {
            context.RedirectTo(StatusCodes.Status307TemporaryRedirect, location);
            return Task.FromResult(true);
        }
    }

    [Test]
    public async Task What_the_application_redacts_stays_redacted([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = sparkfly.App(client: static client => client.RedactLoggedHeaders(["X-Private"]));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers") { Headers = { { "X-Private", "its-own-secret" }, { "X-Shown", "shown-value" } } };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        string log = string.Join('\n', app.Log);
        Assert.That(log, Does.Contain("shown-value").And.Not.Contain("its-own-secret"));
    }

    [TestCaseSource(nameof(Failures))]
    public async Task No_failure_shows_a_secret_in_its_exception(Failure failure)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        string token = SecretSweep.NewSecret("token");
        string[] secrets = [token, sparkfly.Options.Key, sparkfly.Options.Identity];
        failure.Arrange(sparkfly, token);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.Use(sparkfly);
                failure.Configure(options, sparkfly);
            });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
            ChooseLast(services, Chosen.APredicateThatRedactsNothing);
        });
        Exception? exception = null;
        try
        {
            using HttpClient client = app.Client();
            using HttpResponseMessage response = await client.GetAsync("offers");
        }
        catch (Exception caught) when (caught is HttpRequestException or OptionsValidationException or InvalidOperationException)
        {
            exception = caught;
        }

        Assert.That(exception, Is.Not.Null);
        string text = $"{exception} {exception?.InnerException} {string.Join(' ', exception!.Data.Keys.Cast<object>())} {string.Join('\n', app.Log)}";
        foreach (string secret in (string[])[.. secrets, string.Concat(sparkfly.Options.Key.Select(static c => $"%{(int)c:x2}"))])
        {
            Assert.That(text, Does.Not.Contain(secret).IgnoreCase);
        }
    }

    [Test]
    public async Task Invalid_options_show_no_value_in_their_exception()
    {
        string secret = SecretSweep.NewSecret("key") + "\n";
        await using var app = new TestApp(services => services.AddSparkflyAuth(options =>
            (options.Identity, options.Key, options.Scope, options.ForwardedFor) = (secret, secret, secret, secret)));

        OptionsValidationException? exception = Assert.Throws<OptionsValidationException>(() => _ = app.Tokens);

        Assert.That(exception?.ToString(), Does.Contain("Key").And.Not.Contain(secret.Trim()));
    }

    [Test]
    public async Task A_token_that_cannot_stand_in_a_header_is_not_shown_in_the_exception()
    {
        string secret = SecretSweep.NewSecret("token");

        ArgumentException? exception = Assert.Throws<ArgumentException>(() => _ = new SparkflyToken(secret + "\n", default, default));

        Assert.That(exception?.ToString(), Does.Not.Contain(secret));
        await Task.CompletedTask;
    }

    [Test]
    public async Task No_trace_shows_a_secret_the_platforms_own_included([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        ConcurrentQueue<string> tokens = IssuedTokens(sparkfly);
        var activities = new ConcurrentQueue<string>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name is "Sparkfly.Auth.Handler" or "System.Net.Http" || source.Name.StartsWith("Experimental.System.Net", StringComparison.Ordinal),

            // What the sweep wants is heard. To want more would change what the platform sends in the tests beside this one.
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.None,
            ActivityStopped = activity => activities.Enqueue(
                $"{activity.Source.Name} {activity.DisplayName} {activity.Status} {activity.StatusDescription} {string.Join(' ', activity.TagObjects)} " +
                $"{string.Join(' ', activity.Baggage)} {activity.TraceStateString} {string.Join(' ', activity.Events.Select(static e => e.Name + string.Join(' ', e.Tags)))}"),
        };
        ActivitySource.AddActivityListener(listener);
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, "offers");
        sparkfly.RevokeTokens();
        using HttpResponseMessage replayed = await client.GetAs(sending, "offers");

        string text = string.Join('\n', activities);
        Assert.That(text, Does.Contain("System.Net.Http "), "the platform's were heard");
        Assert.That(text.Contains(sparkfly.BaseAddress.Authority), Is.EqualTo(Environment.Version.Major > 8), "before .NET 9 they have no tags");
        Assert.That(text, Does.Contain("Sparkfly.Auth.Handler "), "ours was heard");
        foreach (string secret in (string[])[.. tokens, sparkfly.Options.Key, sparkfly.Options.Identity])
        {
            Assert.That(text, Does.Not.Contain(secret));
        }
    }

    private static IEnumerable<Failure> Failures() =>
    [
        new("rejected", static (s, _) => s.OnTokenRequest = Answer(401, """{"error": "Invalid credentials"}""")),
        new("echoed key", static (s, _) => s.OnTokenRequest = Answer(401, $$"""{"error": "key {{s.Options.Key}} of {{s.Options.Identity}} is unknown"}""")),
        new("cut echo", static (s, _) => s.OnTokenRequest = Answer(403, $$"""{"error": "key {{s.Options.Key[..12]}}... is unknown"}""")),
        new("not found", static (s, _) => s.OnTokenRequest = s.OnApiRequest = Answer(404, "")),
        new("redirect with the key in it", static (s, _) => s.OnTokenRequest = context =>
        {
            context.RedirectTo(302, $"https://evil.example/{s.Options.Key}?{s.Options.Identity}");
            return Task.FromResult(true);
        }),
        new("redirect with the key encoded in it", static (s, _) => s.OnTokenRequest = context =>
        {
            context.RedirectTo(302, "/login?" + string.Concat(s.Options.Key.Select(static c => $"%{(int)c:x2}")));
            return Task.FromResult(true);
        }),
        new("redirect to the key", static (s, _) => s.OnTokenRequest = context =>
        {
            context.RedirectTo(302, $"https://{s.Options.Key}.example/");
            return Task.FromResult(true);
        }),
        new("echoed in headers", static (s, token) => s.OnTokenRequest = async context =>
        {
            context.Response.Headers["X-Echo"] = $"key={s.Options.Key}";
            context.Response.Headers.SetCookie = (string[])["shown=cookie", $"identity={s.Options.Identity}"];
            context.Response.Headers.ContentLanguage = s.Options.Key;
            context.Response.Headers["X-Auth-Token"] = token;
            context.Response.Headers["X-Trace"] = $"issued {token}";
            return await Answer(401, """{"error": "Invalid credentials"}""")(context);
        }),
        new("overloaded", static (s, _) => s.OnTokenRequest = Answer(503, "")),
        new("no token", static (s, _) => s.OnTokenRequest = Answer(204, null)),
        new("two tokens", static (s, token) => s.OnTokenRequest = AnswerToken(204, token, token)),
        new("a token that is not a valid header value", static (s, token) => s.OnTokenRequest = AnswerToken(204, token + " x")),
        new("a token in a failure", static (s, token) => s.OnTokenRequest = AnswerToken(500, token)),
        new("no connection", static (_, _) => { }) { Configure = static (options, _) => options.AuthEndpoint = new Uri("http://127.0.0.1:1/auth") },
        new("invalid options", static (_, _) => { }) { Configure = static (options, _) => options.Key += "\r\nX-Evil: 1" },
    ];

    private static Func<Microsoft.AspNetCore.Http.HttpContext, Task<bool>> Answer(int status, string? body) => async context =>
    {
        context.Response.StatusCode = status;
        if (!string.IsNullOrEmpty(body))
        {
            await context.Response.BodyWriter.WriteAsync(System.Text.Encoding.UTF8.GetBytes(body));
        }

        return true;
    };

    private static Func<Microsoft.AspNetCore.Http.HttpContext, Task<bool>> AnswerToken(int status, params string[] tokens) => context =>
    {
        context.Response.StatusCode = status;
        context.Response.Headers["X-Auth-Token"] = tokens;
        return Task.FromResult(true);
    };

    private static ConcurrentQueue<string> IssuedTokens(StandInServer sparkfly)
    {
        var tokens = new ConcurrentQueue<string>();
        sparkfly.TokenIssued = token => tokens.Enqueue(SecretSweep.Secret(token));
        return tokens;
    }

    /// <summary>A service that issues this token, and answers any other request with this line.</summary>
    private static WireServer ServerOf(string token, string line) => new(head => head.StartsWith("POST", StringComparison.Ordinal)
        ? WireServer.NoContent($"X-Auth-Token: {token}")
        : WireServer.NoContent(line));

    private static TestApp AppOf(WireServer sparkfly) => new(services =>
    {
        services.AddSparkflyAuth(options =>
            (options.BaseAddress, options.Identity, options.Key) = (sparkfly.BaseAddress, SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")));

        // The platform's own activity records the platform's exception, inside the primary handler. So this one has none.
        services.AddHttpClient("api").AddSparkflyAuthHandler()
            .ConfigurePrimaryHttpMessageHandler(static () => new SocketsHttpHandler { ActivityHeadersPropagator = null });
    });

    private static IHttpClientBuilder Choose(IHttpClientBuilder client, Chosen chosen) => chosen switch
    {
        Chosen.AList => client.RedactLoggedHeaders(["X-Something-Else"]),
        Chosen.APredicateThatRedactsNothing => client.RedactLoggedHeaders(static _ => false),
        _ => client,
    };

    // After every configuration of a client, whenever that is registered.
    private static void ChooseLast(IServiceCollection services, Chosen chosen)
    {
        Func<string, bool>? redacts = chosen switch
        {
            Chosen.AList => static header => header == "X-Something-Else",
            Chosen.APredicateThatRedactsNothing => static _ => false,
            _ => null,
        };
        if (redacts is not null)
        {
            services.PostConfigureAll<HttpClientFactoryOptions>(options => options.ShouldRedactHeaderValue = redacts);
        }
    }

    /// <summary>A way in which a first request fails.</summary>
    public sealed record Failure(string Name, Action<StandInServer, string> Arrange)
    {
        public Action<SparkflyAuthOptions, StandInServer> Configure { get; init; } = static (_, _) => { };

        public override string ToString() => Name;
    }
}
