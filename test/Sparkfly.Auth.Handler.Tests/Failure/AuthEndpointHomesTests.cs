using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 5.5: <c>/auth</c> has two homes, and a 404 at the one leads to the other.</summary>
public class AuthEndpointHomesTests
{
    [TestCase("/v1.0")]
    [TestCase("/v1.0/")]
    public async Task Where_auth_is_not_under_the_base_it_is_asked_for_at_the_root_and_kept_to(string basePath)
    {
        await using StandInServer server = await Homes("/auth");
        ConcurrentQueue<string> asked = PathsAsked(server);
        await using TestApp app = server.App(o => o.BaseAddress = new Uri(server.BaseAddress, basePath));

        await Renew(app, 2);

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth", "/auth", "/auth"]));
        Assert.That(app.Log.Where(static e => e.StartsWith("[Warning]", StringComparison.Ordinal)).ToArray(), Has.Length.EqualTo(1)
            .And.All.Contains("set AuthEndpoint").And.All.Contains($"{new Uri(server.BaseAddress, "/auth")}"));
    }

    [Test]
    public async Task A_call_succeeds_at_once()
    {
        await using StandInServer server = await Homes("/auth");
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task An_explicit_AuthEndpoint_is_the_only_one_asked()
    {
        await using StandInServer server = await Homes("/auth");
        ConcurrentQueue<string> asked = PathsAsked(server);
        await using TestApp app = server.App(o => o.AuthEndpoint = new Uri(server.BaseAddress, "auth"));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth"]));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(exception.Message, Does.Contain("AuthEndpoint").And.Contain($"at the root: {new Uri(server.BaseAddress, "/auth")}"));
    }

    /// <summary>Rule 6.5: what the address of a token request looks like there says nothing of an address here.</summary>
    [Test]
    public async Task A_call_with_the_path_of_an_AuthEndpoint_at_another_origin_has_the_token()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.OnTokenRequest = (_, _) => Task.FromResult<HttpResponseMessage?>(sparkfly.Token());
        string? token = null;
        sparkfly.OnApiRequest = (request, _) =>
        {
            token = InMemorySparkfly.TokenOf(request);
            return Task.FromResult<HttpResponseMessage?>(null);
        };
        await using TestApp app = sparkfly.App(static o => o.AuthEndpoint = new Uri("https://auth.test/v1.0/offers"));
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync("offers");

        Assert.That(token, Is.Not.Null);
    }

    [TestCase("/")]
    [TestCase("/v1.1/")]
    [TestCase("/V1.0/")]
    [TestCase("/api/v1.0/")]
    [TestCase("/v1.0/brand/")]
    public async Task A_base_of_another_path_is_asked_alone(string basePath)
    {
        await using StandInServer server = await Homes("/elsewhere");
        ConcurrentQueue<string> asked = PathsAsked(server);
        await using TestApp app = server.App(o => o.BaseAddress = new Uri(server.BaseAddress, basePath));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(asked, Is.EqualTo((string[])[$"{basePath}auth"]));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(exception.Message, Does.Contain("AuthEndpoint").And.Contain($"{new Uri(server.BaseAddress, "/auth")}"));
    }

    [Test]
    public async Task Where_neither_is_there_both_are_named_and_AuthEndpoint()
    {
        await using StandInServer server = await Homes("/elsewhere");
        ConcurrentQueue<string> asked = PathsAsked(server);
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth"]));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(
            exception.Message,
            Does.Contain($"Neither {server.BaseAddress}auth nor {new Uri(server.BaseAddress, "/auth")} is there").And.Contain("AuthEndpoint").And.Not.Contain("looked for"));
        Assert.That(app.Log, Has.None.StartsWith("[Warning]"));
    }

    [Test]
    public async Task The_service_s_trouble_at_the_only_home_is_told_without_advice_about_homes()
    {
        await using StandInServer server = await Homes("/auth");
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        await using TestApp app = server.App(o => o.AuthEndpoint = new Uri(server.BaseAddress, "/auth"));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.Message, Does.Contain("503").And.Not.Contain("looked for"));
    }

    [TestCase(401)]
    [TestCase(503)]
    public async Task A_refusal_at_the_root_is_told_as_the_root_s(int status)
    {
        await using StandInServer server = await Homes("/auth");
        server.OnTokenRequest = context =>
        {
            context.Response.StatusCode = status;
            return Task.FromResult(true);
        };
        await using TestApp app = server.App();

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.AuthStatusCode, Is.EqualTo((HttpStatusCode)status));
        Assert.That(exception.Message, Does.Contain($"POST {new Uri(server.BaseAddress, "/auth")} was answered {status} "));
    }

    [Test]
    public async Task A_root_that_does_not_answer_is_told_as_the_root()
    {
        await using var app = new TestApp(static services => services
            .AddSparkflyAuth(static o => (o.Identity, o.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key")))
            .ConfigureAuthClient(static client => client.ConfigurePrimaryHttpMessageHandler(static () => new ScriptedPrimaryHandler(
                static (request, _) => request.RequestUri!.AbsolutePath == "/auth"
                    ? throw new HttpRequestException(HttpRequestError.ConnectionError, "gone")
                    : Task.FromResult(new HttpResponseMessage(HttpStatusCode.NotFound))))));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.Message, Does.Contain("POST https://api-staging.sparkfly.com/auth got no answer"));
    }

    [Test]
    public async Task It_is_kept_to_while_the_base_is_unchanged_also_for_a_new_key()
    {
        await using StandInServer server = await Homes("/auth");
        server.OnTokenRequest = context =>
        {
            server.AnswerWithToken(context);
            return Task.FromResult(true);
        };
        ConcurrentQueue<string> asked = PathsAsked(server);
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        await app.Tokens.GetTokenAsync();

        configuration["Sparkfly:Key"] = SecretSweep.NewSecret("key");
        configuration.Reload();
        await app.Tokens.GetTokenAsync();

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth", "/auth"]));
    }

    [Test]
    public async Task A_new_base_is_asked_under_itself_first()
    {
        await using StandInServer old = await Homes("/auth");
        await using StandInServer moved = await Homes("/auth", old.Options);
        ConcurrentQueue<string> asked = PathsAsked(moved);
        IConfigurationRoot configuration = Configured.For(old);
        await using TestApp app = App(configuration);
        await app.Tokens.GetTokenAsync();

        configuration["Sparkfly:BaseAddress"] = moved.BaseAddress.AbsoluteUri;
        configuration.Reload();
        await app.Tokens.GetTokenAsync();

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth"]));
    }

    [Test]
    public async Task An_AuthEndpoint_that_is_set_later_is_asked_alone()
    {
        await using StandInServer server = await Homes("/auth");
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        await app.Tokens.GetTokenAsync();
        ConcurrentQueue<string> asked = PathsAsked(server);

        configuration["Sparkfly:AuthEndpoint"] = new Uri(server.BaseAddress, "auth").AbsoluteUri;
        configuration.Reload();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(token).AsTask());

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth"]));
    }

    [Test]
    public async Task A_home_that_moves_back_is_found_again()
    {
        string home = "/auth";
        await using StandInServer server = await Homes("/nowhere");
        ConcurrentQueue<string> asked = PathsAsked(server);
        Func<HttpContext, Task<bool>> notThere = server.OnApiRequest!;
        server.OnApiRequest = context =>
        {
            if (context.Request.Path != home)
            {
                return notThere(context);
            }

            asked.Enqueue(context.Request.Path);
            server.AnswerWithToken(context);
            return Task.FromResult(true);
        };
        await using TestApp app = server.App(static o => o.UnauthorizedRefreshInterval = TimeSpan.Zero);

        SparkflyToken token = await app.Tokens.GetTokenAsync();
        home = "/v1.0/auth";
        app.Time.Advance(TimeSpan.FromSeconds(1));
        token = await app.Tokens.RenewTokenAsync(token);
        app.Time.Advance(TimeSpan.FromSeconds(1));
        await app.Tokens.RenewTokenAsync(token);

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth", "/auth", "/v1.0/auth", "/v1.0/auth"]));
    }

    /// <summary>A wall in front of Sparkfly's routes.</summary>
    [TestCase(401)]
    [TestCase(403)]
    [TestCase(404)]
    [TestCase(405)]
    public async Task On_Sparkfly_s_own_hosts_a_refusal_under_the_base_leads_to_the_root_and_a_call_succeeds(int status)
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { AuthPath = "/auth", HasWall = true });
        ConcurrentQueue<string> asked = PathsAsked(server);
        if (status != 401)
        {
            Answer(server, "/v1.0/auth", status);
        }

        await using TestApp app = SparkflysHost(server);
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync("offers");
        await Renew(app, 1);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth", "/auth"]));
        Assert.That(app.Log.Where(static e => e.StartsWith("[Warning]", StringComparison.Ordinal)).ToArray(), Has.Length.EqualTo(1).And.All.Contains("set AuthEndpoint"));
    }

    [TestCase(401, false)]
    [TestCase(403, false)]
    [TestCase(405, true)]
    public async Task On_other_hosts_the_credentials_are_meant_and_a_405_the_address(int status, bool isAskedElsewhere)
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { AuthPath = "/auth" });
        ConcurrentQueue<string> asked = PathsAsked(server);
        Answer(server, "/v1.0/auth", status);
        await using TestApp app = server.App();

        if (isAskedElsewhere)
        {
            await app.Tokens.GetTokenAsync();
        }
        else
        {
            Assert.That((await Fails(app)).Message, Does.Contain(
                $"/auth was looked for at this address only; Sparkfly has it at {server.BaseAddress}auth or {new Uri(server.BaseAddress, "/auth")}."));
        }

        Assert.That(asked, Is.EqualTo(isAskedElsewhere ? (string[])["/v1.0/auth", "/auth"] : ["/v1.0/auth"]));
    }

    [TestCase("/v1.0/auth")]
    [TestCase("/auth")]
    public async Task A_home_that_has_given_a_token_is_the_only_one_asked_when_it_rejects_the_credentials(string home)
    {
        await using StandInServer server = await Sparkfly.StartAsync(o => o with { AuthPath = home, HasWall = true });
        await using TestApp app = SparkflysHost(server);
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        ConcurrentQueue<string> asked = PathsAsked(server);
        server.OnTokenRequest = context =>
        {
            asked.Enqueue(context.Request.Path);
            context.Response.StatusCode = 401;
            return Task.FromResult(true);
        };

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.RenewTokenAsync(token).AsTask());

        Assert.That(asked, Is.EqualTo((string[])[home]));
    }

    [TestCase("/v1.0/auth")]
    [TestCase("/auth")]
    public async Task Wrong_credentials_are_told_with_both_addresses_and_what_each_answered(string home)
    {
        await using StandInServer server = await Sparkfly.StartAsync(o => o with { AuthPath = home });
        ConcurrentQueue<string> asked = PathsAsked(server);
        await using TestApp app = SparkflysHost(server, static o => o.Key = SecretSweep.NewSecret("wrong"));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(asked, Is.EqualTo((string[])["/v1.0/auth", "/auth"]));
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(exception.RetryAt, Is.EqualTo(app.Time.Start + TimeSpan.FromMinutes(1)));
        Assert.That(exception.Message, Does.Contain($"POST http://api-staging.sparkfly.com{home} was answered 401 (Unauthorized): \"Invalid credentials\".")
            .And.Contain("or the address is wrong, which can look the same")
            .And.Contain("check Identity and Key")
            .And.Contain($"/auth was looked for at http://api-staging.sparkfly.com{(home == "/auth" ? "/v1.0/auth" : "/auth")} too, which answered 404 (NotFound)."));
    }

    [Test]
    public async Task A_wall_and_a_root_in_trouble_is_trouble_that_passes()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { AuthPath = "/auth", HasWall = true });
        Answer(server, "/auth", 503);
        await using TestApp app = SparkflysHost(server);

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That(exception.IsTransient, Is.True);
        Assert.That(exception.Message, Does.Contain("/auth was looked for at http://api-staging.sparkfly.com/v1.0/auth too, which answered 401 (Unauthorized)."));
    }

    /// <summary>Each of them leads to a path that the wall rejects before anything looks at it.</summary>
    [TestCase("/")]
    [TestCase("/v1")]
    [TestCase("/v1.0/auth")]
    public async Task A_wrong_base_address_is_told_with_the_address_that_was_asked_and_where_auth_is(string path)
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { HasWall = true });
        Answer(server, $"{path.TrimEnd('/')}/auth", 401);
        await using TestApp app = SparkflysHost(server, o => o.BaseAddress = new Uri($"http://api-staging.sparkfly.com{path}"));

        SparkflyAuthenticationException exception = await Fails(app);

        Assert.That(exception.Message, Does.Contain($"POST http://api-staging.sparkfly.com{path.TrimEnd('/')}/auth was answered 401 (Unauthorized)")
            .And.Contain("the address is wrong, which can look the same")
            .And.Contain("check BaseAddress, which ends in /v1.0 at Sparkfly")
            .And.Contain("looked for at this address only; Sparkfly has it at http://api-staging.sparkfly.com/v1.0/auth or http://api-staging.sparkfly.com/auth."));
    }

    private static TestApp App(IConfiguration configuration) => new(services =>
    {
        services.AddSingleton(configuration);
        services.AddSparkflyAuth();
    });

    /// <summary>An application that finds the server at Sparkfly's host for staging.</summary>
    private static TestApp SparkflysHost(StandInServer server, Action<SparkflyAuthOptions>? configure = null)
    {
        return new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.Use(server);
                options.BaseAddress = new Uri("http://api-staging.sparkfly.com/v1.0");
                options.AllowHttp = true;
                configure?.Invoke(options);
            }).ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(Handler));
            services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(Handler);
        });

        SocketsHttpHandler Handler()
        {
            SocketsHttpHandler handler = new Network(_ => server.BaseAddress).Handler();
            handler.UseProxy = false;
            return handler;
        }
    }

    /// <summary>Answers what comes to a path with a status.</summary>
    private static void Answer(StandInServer server, string path, int status)
    {
        server.OnApiRequest = AnswerOr(server.OnApiRequest);
        server.OnTokenRequest = AnswerOr(server.OnTokenRequest);

        Func<HttpContext, Task<bool>> AnswerOr(Func<HttpContext, Task<bool>>? otherwise) => async context =>
        {
            bool isHandled = otherwise is not null && await otherwise(context);
            if (!isHandled && context.Request.Path == path)
            {
                context.Response.StatusCode = status;
                return true;
            }

            return isHandled;
        };
    }

    private static Task<SparkflyAuthenticationException> Fails(TestApp app) =>
        Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

    private static async Task Renew(TestApp app, int times)
    {
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        for (int i = 0; i < times; i++)
        {
            app.Time.Advance(TimeSpan.FromMinutes(1));
            token = await app.Tokens.RenewTokenAsync(token);
        }
    }

    /// <summary>A server whose token request is at one path, and 404 at any other that ends in <c>auth</c>.</summary>
    private static async Task<StandInServer> Homes(string authPath, StandInOptions? credentials = null)
    {
        StandInServer server = await Sparkfly.StartAsync(o => (credentials ?? o) with { AuthPath = authPath });
        server.OnApiRequest = static context =>
        {
            bool isAuth = context.Request.Path.Value!.EndsWith("auth", StringComparison.Ordinal);
            context.Response.StatusCode = isAuth ? StatusCodes.Status404NotFound : context.Response.StatusCode;
            return Task.FromResult(isAuth);
        };
        return server;
    }

    /// <summary>Where the server has been asked for a token, in order.</summary>
    private static ConcurrentQueue<string> PathsAsked(StandInServer server)
    {
        var paths = new ConcurrentQueue<string>();
        server.OnApiRequest = Note(server.OnApiRequest);
        server.OnTokenRequest = Note(server.OnTokenRequest);
        return paths;

        Func<HttpContext, Task<bool>> Note(Func<HttpContext, Task<bool>>? answer) => context =>
        {
            if (HttpMethods.IsPost(context.Request.Method))
            {
                paths.Enqueue(context.Request.Path);
            }

            return answer?.Invoke(context) ?? Task.FromResult(false);
        };
    }
}
