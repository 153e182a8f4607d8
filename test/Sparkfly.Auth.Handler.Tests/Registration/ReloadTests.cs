using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.5: what an account is, and what changes with its options.</summary>
public class ReloadTests
{
    [Test]
    public async Task Two_names_of_one_account_share_one_token_and_one_token_request()
    {
        await using StandInServer server = await AnyKeyServer();
        await using TestApp app = TwoNames(server, static _ => { });
        var asking = new TaskCompletionSource();
        var answering = new TaskCompletionSource();
        server.OnTokenRequest = async context =>
        {
            asking.TrySetResult();
            await answering.Task;
            server.AnswerWithToken(context);
            return true;
        };

        Task<SparkflyToken> one = Provider(app, "one").GetTokenAsync().AsTask();
        await asking.Task.WaitAsync(TestApp.Patience);
        Task<SparkflyToken> two = Provider(app, "two").GetTokenAsync().AsTask();
        answering.SetResult();

        Assert.That(await two, Is.SameAs(await one));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    public static TestCaseData[] Differences() =>
    [
        new TestCaseData((Action<SparkflyAuthOptions>)(static o => o.Identity += "'")).SetArgDisplayNames("identity"),
        new TestCaseData((Action<SparkflyAuthOptions>)(static o => o.Key += "'")).SetArgDisplayNames("key"),
        new TestCaseData((Action<SparkflyAuthOptions>)(static o => o.Scope = "offers")).SetArgDisplayNames("scope"),
        new TestCaseData((Action<SparkflyAuthOptions>)(static o => o.ForwardedFor = "203.0.113.7")).SetArgDisplayNames("forwarded-for"),
        new TestCaseData((Action<SparkflyAuthOptions>)(static o => o.AuthEndpoint = new Uri(o.BaseAddress!, "/v1.0/AUTH")))
            .SetArgDisplayNames("auth endpoint"),
    ];

    [TestCaseSource(nameof(Differences))]
    public async Task Accounts_that_differ_never_share_a_token(Action<SparkflyAuthOptions> change)
    {
        await using StandInServer server = await AnyKeyServer();
        await using TestApp app = TwoNames(server, change);

        SparkflyToken one = await Provider(app, "one").GetTokenAsync();
        SparkflyToken two = await Provider(app, "two").GetTokenAsync();

        Assert.That(two.Value, Is.Not.EqualTo(one.Value));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task Scope_and_forwarded_for_are_not_mistaken_for_each_other()
    {
        await using StandInServer server = await AnyKeyServer();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth("one", o => o.Use(server));
            services.AddSparkflyAuth("one", static o => o.Scope = "203.0.113.7");
            services.AddSparkflyAuth("two", o => o.Use(server));
            services.AddSparkflyAuth("two", static o => o.ForwardedFor = "203.0.113.7");
        });

        Assert.That(
            (await Provider(app, "two").GetTokenAsync()).Value,
            Is.Not.EqualTo((await Provider(app, "one").GetTokenAsync()).Value));
    }

    [Test]
    public async Task A_rotated_key_is_used_from_the_next_request_on()
    {
        await using StandInServer server = await AnyKeyServer();
        var keys = KeysOf(server);
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        using HttpClient client = app.Client();
        using HttpResponseMessage before = await client.GetAsync("offers");
        string rotated = SecretSweep.NewSecret("key");

        configuration["Sparkfly:Key"] = rotated;
        configuration.Reload();
        using HttpResponseMessage after = await client.GetAsync("offers");

        Assert.That(after.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(keys, Is.EqualTo((string[])[server.Options.Key, rotated]));
        Assert.That(app.Log, Has.One.Contains("The settings of Sparkfly account '(default)' have changed"));
        Assert.That(app.Log.Count(static l => l.StartsWith("[Information] Sparkfly.Auth.Handler[13]", StringComparison.Ordinal)), Is.EqualTo(1), "where the account is");
    }

    [Test]
    public async Task Those_who_wait_for_a_token_of_the_old_key_get_one_of_the_new_key()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        string rotated = SecretSweep.NewSecret("key");
        var asking = new TaskCompletionSource();
        var answering = new TaskCompletionSource();
        var tokensByKey = new ConcurrentDictionary<string, string>();
        server.OnTokenRequest = async context =>
        {
            string key = context.Request.Headers["X-Auth-Key"].ToString();
            if (key == server.Options.Key)
            {
                asking.TrySetResult();
                await answering.Task;
            }

            server.AnswerWithToken(context);
            tokensByKey[key] = context.Response.Headers["X-Auth-Token"].ToString();
            return true;
        };

        Task<SparkflyToken>[] waiting = [.. Enumerable.Range(0, 10).Select(_ => app.Tokens.GetTokenAsync().AsTask())];
        await asking.Task.WaitAsync(TestApp.Patience);
        configuration["Sparkfly:Key"] = rotated;
        configuration.Reload();
        SparkflyToken late = await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);
        answering.SetResult();
        SparkflyToken[] tokens = await Task.WhenAll(waiting).WaitAsync(TestApp.Patience);

        Assert.That(late.Value, Is.EqualTo(tokensByKey[rotated]), "a caller that came after the rotation does not wait for the old request");
        Assert.That(tokens.Select(static t => t.Value), Is.All.EqualTo(tokensByKey[rotated]));
        Assert.That((await app.Tokens.GetTokenAsync()).Value, Is.EqualTo(tokensByKey[rotated]), "the late answer for the old key changes nothing");
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_failure_of_the_old_key_does_not_reach_those_who_wait_when_the_key_was_rotated()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        configuration["Sparkfly:Key"] = SecretSweep.NewSecret("old");
        await using TestApp app = App(configuration);
        var asking = new TaskCompletionSource();
        var answering = new TaskCompletionSource();
        server.OnTokenRequest = async context =>
        {
            if (context.Request.Headers["X-Auth-Key"] != server.Options.Key)
            {
                asking.TrySetResult();
                await answering.Task;
            }

            return false;
        };

        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await asking.Task.WaitAsync(TestApp.Patience);
        configuration["Sparkfly:Key"] = server.Options.Key;
        configuration.Reload();
        answering.SetResult();

        Assert.That(server.IsGood((await waiting.WaitAsync(TestApp.Patience)).Value));
    }

    /// <summary>The answer comes from where it was asked, which is no redirect, whatever the settings say by then.</summary>
    [Test]
    public async Task A_token_request_in_flight_while_the_account_moves_to_another_origin_does_no_harm()
    {
        await using StandInServer old = await Sparkfly.StartAsync();
        await using StandInServer moved = await Sparkfly.StartAsync(o => o with { Identity = old.Options.Identity, Key = old.Options.Key });
        IConfigurationRoot configuration = Configured.For(old);
        await using TestApp app = App(configuration);
        var asking = new TaskCompletionSource();
        var answering = new TaskCompletionSource();
        old.OnTokenRequest = async _ =>
        {
            asking.TrySetResult();
            await answering.Task;
            return false;
        };

        Task<SparkflyToken> waiting = app.Tokens.GetTokenAsync().AsTask();
        await asking.Task.WaitAsync(TestApp.Patience);
        configuration["Sparkfly:BaseAddress"] = moved.BaseAddress.AbsoluteUri;
        configuration.Reload();
        answering.SetResult();
        SparkflyToken token = await waiting.WaitAsync(TestApp.Patience);

        Assert.That(moved.IsGood(token.Value), "a token of the new address");
        Assert.That(app.Log, Has.None.StartsWith("[Critical]"));
    }

    [Test]
    public async Task An_invalid_reload_leaves_requests_and_base_addresses_with_the_last_good_options([Values] bool isBeforeTheFirstRequest)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        var log = new ConcurrentQueue<string>();
        using IHost host = HostedApp.Build(
            services =>
            {
                services.AddLogging(logging => logging.AddProvider(new SecretSweep.Provider(log.Enqueue)));
                services.AddSparkflyAuth();
                services.AddHttpClient("api").AddSparkflyAuthHandler();
            },
            configuration);
        await host.StartAsync().WaitAsync(TestApp.Patience);
        IHttpClientFactory clients = host.Services.GetRequiredService<IHttpClientFactory>();
        if (!isBeforeTheFirstRequest)
        {
            using HttpClient early = clients.CreateClient("api");
            using HttpResponseMessage response = await early.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        configuration["Sparkfly:BaseAddress"] = "http://sparkfly.test/";
        configuration["Sparkfly:Key"] = "";
        configuration.Reload();
        for (int i = 0; i < 2; i++)
        {
            using HttpClient client = clients.CreateClient("api");
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(client.BaseAddress, Is.EqualTo(server.BaseAddress));
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        }

        await host.StopAsync().WaitAsync(TestApp.Patience);
        Assert.That(server.TokenRequests, Is.EqualTo(1));
        Assert.That(log.Where(static e => e.Contains("goes on with the last good ones", StringComparison.Ordinal)).ToArray(), Has.Length.EqualTo(1)
            .And.All.Contains("Sparkfly:BaseAddress must be https").And.All.Contains("Sparkfly:Key is required"));
    }

    [Test]
    public async Task A_changed_base_address_is_that_of_the_next_client()
    {
        await using StandInServer old = await Sparkfly.StartAsync();
        await using StandInServer moved = await Sparkfly.StartAsync(o => o with { Identity = old.Options.Identity, Key = old.Options.Key });
        IConfigurationRoot configuration = Configured.For(old);
        await using TestApp app = App(configuration);
        using HttpClient before = app.Client();
        using HttpResponseMessage first = await before.GetAsync("offers");

        configuration["Sparkfly:BaseAddress"] = moved.BaseAddress.AbsoluteUri;
        configuration.Reload();
        using HttpClient after = app.Client();
        using HttpResponseMessage second = await after.GetAsync("offers");

        Assert.That(after.BaseAddress, Is.EqualTo(moved.BaseAddress));
        Assert.That((first.StatusCode, second.StatusCode), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.OK)));
        Assert.That((old.ApiRequests, moved.ApiRequests), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task A_reload_with_a_value_of_the_wrong_type_is_logged_without_the_value_and_changes_nothing()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        SparkflyToken before = await app.Tokens.GetTokenAsync();

        string misplaced = SecretSweep.NewSecret("misplaced");
        configuration["Sparkfly:AuthTimeout"] = misplaced;
        configuration.Reload();

        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(before));
        Assert.That(app.Log, Has.One.Contains("goes on with the last good ones").And.None.Contains(misplaced));
        Assert.That(app.Log, Has.One.Contains("'Sparkfly:AuthTimeout'"), "the setting is named");
    }

    [TestCase("nothing of a setting")]
    [TestCase("' at the start")]
    [TestCase("a value, 's3cret', in quotation marks")]
    [TestCase("it ends at 'Sparkfly:")]
    public async Task A_reload_that_fails_for_another_reason_is_logged_without_its_message(string message)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        bool fails = false;
        await using TestApp app = App(configuration, services => services.Configure<SparkflyAuthOptions>(_ =>
        {
            if (fails)
            {
                throw new NotSupportedException(message);
            }
        }));
        SparkflyToken before = await app.Tokens.GetTokenAsync();

        fails = true;
        configuration.Reload();

        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(before));
        Assert.That(app.Log, Has.One.Contains("goes on with the last good ones. A setting cannot be read (NotSupportedException).").And.None.Contains(message));
    }

    [Test]
    public async Task After_the_container_is_disposed_a_reload_of_the_configuration_is_not_followed()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        await app.Tokens.GetTokenAsync();
        await app.DisposeAsync();
        int logged = app.Log.Count;

        sparkfly.Reload("Identity", "");

        Assert.That(app.Log.Skip(logged), Is.Empty);
    }

    [Test]
    public async Task Good_options_after_an_invalid_reload_are_taken()
    {
        await using StandInServer server = await AnyKeyServer();
        var keys = KeysOf(server);
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        await app.Tokens.GetTokenAsync();
        string rotated = SecretSweep.NewSecret("key");

        configuration["Sparkfly:Key"] = "";
        configuration.Reload();
        configuration["Sparkfly:Key"] = rotated;
        configuration.Reload();
        await app.Tokens.GetTokenAsync();

        Assert.That(keys, Is.EqualTo((string[])[server.Options.Key, rotated]));
    }

    [Test]
    public async Task An_account_that_was_invalid_at_first_is_followed_once_it_is_valid()
    {
        await using StandInServer server = await AnyKeyServer();
        IConfigurationRoot configuration = Configured.For(server);
        configuration["Sparkfly:Key"] = "";
        await using TestApp app = App(configuration);
        for (int i = 0; i < 3; i++)
        {
            await Thrown.By<OptionsValidationException>(async () => await app.Tokens.GetTokenAsync());
        }

        configuration["Sparkfly:Key"] = server.Options.Key;
        configuration.Reload();
        await app.Tokens.GetTokenAsync();
        configuration["Sparkfly:Key"] = SecretSweep.NewSecret("key");
        configuration.Reload();

        Assert.That(app.Log, Has.One.Contains("Sparkfly.Auth.Handler[10]"), "one log of the one change");
    }

    [Test]
    public async Task An_unrelated_reload_costs_no_token_request()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        SparkflyToken before = await app.Tokens.GetTokenAsync();

        configuration["Other:Setting"] = "changed";
        configuration.Reload();

        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(before));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
        Assert.That(app.Log, Has.None.Contains("have changed"));
    }

    [Test]
    public async Task An_unrelated_reload_does_not_end_a_backoff_and_changed_options_do()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        configuration["Sparkfly:Key"] = SecretSweep.NewSecret("wrong");
        await using TestApp app = App(configuration);
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        configuration["Other:Setting"] = "changed";
        configuration.Reload();
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());
        Assert.That(server.TokenRequests, Is.EqualTo(1), "after the unrelated reload");

        configuration["Sparkfly:Key"] = server.Options.Key;
        configuration.Reload();
        Assert.That(server.IsGood((await app.Tokens.GetTokenAsync()).Value));
        Assert.That(server.TokenRequests, Is.EqualTo(2), "after the key was corrected");
    }

    [Test]
    public async Task A_changed_option_that_is_no_part_of_the_account_ends_a_backoff_and_keeps_the_token()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        server.OnTokenRequest = null;
        configuration["Sparkfly:AuthTimeout"] = "00:00:31";
        configuration.Reload();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        configuration["Sparkfly:AuthTimeout"] = "00:00:32";
        configuration.Reload();

        Assert.That(await app.Tokens.GetTokenAsync(), Is.SameAs(token));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task Nothing_of_an_old_account_is_left_after_many_rotations()
    {
        await using StandInServer server = await AnyKeyServer();
        IConfigurationRoot configuration = Configured.For(server);
        await using TestApp app = App(configuration);
        TokenStates registry = app.Services.GetRequiredService<TokenStates>();
        var old = new List<(string AccountKey, TokenState State)>();

        for (int i = 0; i < 20; i++)
        {
            configuration["Sparkfly:Key"] = SecretSweep.NewSecret("key");
            configuration.Reload();
            await app.Tokens.GetTokenAsync();

            string accountKey = app.Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings.AccountDigest;
            old.Add((accountKey, registry.Acquire(accountKey)));
            registry.Release(accountKey);
        }

        int kept = old.Count(o => ReferenceEquals(registry.Acquire(o.AccountKey), o.State));
        Assert.That(kept, Is.EqualTo(1), "of 20 states the current one alone is kept");
        Assert.That(server.TokenRequests, Is.EqualTo(20));
    }

    [Test]
    public async Task A_named_account_is_not_touched_by_the_reload_of_another()
    {
        await using StandInServer server = await AnyKeyServer();
        IConfigurationRoot one = Configured.For(server);
        IConfigurationRoot two = Configured.For(server);
        two["Sparkfly:Key"] = SecretSweep.NewSecret("key");
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth("one", one.GetSection("Sparkfly"));
            services.AddSparkflyAuth("two", two.GetSection("Sparkfly"));
        });
        SparkflyToken before = await Provider(app, "one").GetTokenAsync();
        await Provider(app, "two").GetTokenAsync();

        two["Sparkfly:Key"] = SecretSweep.NewSecret("key");
        two.Reload();

        Assert.That(await Provider(app, "one").GetTokenAsync(), Is.SameAs(before));
        Assert.That(await Provider(app, "two").GetTokenAsync(), Is.Not.SameAs(before));
        Assert.That(app.Log, Has.One.Contains("The settings of Sparkfly account 'two' have changed").And.None.Contains("account 'one' have changed"));
    }

    private static TestApp App(IConfiguration configuration, Action<IServiceCollection>? register = null) => new(services =>
    {
        services.AddSingleton(configuration);
        services.AddSparkflyAuth();
        services.AddHttpClient("api").AddSparkflyAuthHandler();
        register?.Invoke(services);
    });

    private static TestApp TwoNames(StandInServer server, Action<SparkflyAuthOptions> changeOfTheSecond) => new(services =>
    {
        services.AddSparkflyAuth("one", o => o.Use(server));
        services.AddSparkflyAuth("two", o =>
        {
            o.Use(server);
            changeOfTheSecond(o);
        });
    });

    private static ISparkflyTokenProvider Provider(TestApp app, string name) =>
        app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>(name);

    /// <summary>A server that gives a token for any credentials.</summary>
    private static async Task<StandInServer> AnyKeyServer()
    {
        StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = context =>
        {
            server.AnswerWithToken(context);
            return Task.FromResult(true);
        };
        return server;
    }

    /// <summary>The keys that the server has been asked with.</summary>
    private static ConcurrentQueue<string> KeysOf(StandInServer server)
    {
        var keys = new ConcurrentQueue<string>();
        Func<HttpContext, Task<bool>> answer = server.OnTokenRequest!;
        server.OnTokenRequest = context =>
        {
            keys.Enqueue(context.Request.Headers["X-Auth-Key"].ToString());
            return answer(context);
        };
        return keys;
    }
}
