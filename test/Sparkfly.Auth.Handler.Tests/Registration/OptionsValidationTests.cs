using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2, 6.5 and 6.7: bad settings stop the host, which lists them by name and repeats no value.</summary>
public class OptionsValidationTests
{
    public static TestCaseData[] Refusals() =>
    [
        Refusal("BaseAddress", "an absolute https address", static o => o.BaseAddress = null),
        Refusal("BaseAddress", "an absolute https address", static o => o.BaseAddress = new Uri("v1.0", UriKind.Relative)),
        Refusal("BaseAddress", "an absolute https address", static o => o.BaseAddress = new Uri("ftp://sparkfly.test/")),
        Refusal("BaseAddress", "user info, query or fragment", static o => o.BaseAddress = new Uri("https://user:s3cret@sparkfly.test/")),
        Refusal("BaseAddress", "user info, query or fragment", static o => o.BaseAddress = new Uri("https://sparkfly.test/?s3cret")),
        Refusal("BaseAddress", "user info, query or fragment", static o => o.BaseAddress = new Uri("https://sparkfly.test/#s3cret")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://sparkfly.test/")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://loopback/")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://LOOPBACK:8080/v1.0")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://loopback./")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://[::2]/")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://localhost.sparkfly.test/")),
        Refusal("BaseAddress", "must be https", static o => o.BaseAddress = new Uri("http://128.0.0.1/")),
        Refusal("AuthEndpoint", "an absolute https address", static o => o.AuthEndpoint = new Uri("auth", UriKind.Relative)),
        Refusal("AuthEndpoint", "user info, query or fragment", static o => o.AuthEndpoint = new Uri("https://user:s3cret@sparkfly.test/")),
        Refusal("AuthEndpoint", "user info, query or fragment", static o => o.AuthEndpoint = new Uri("https://sparkfly.test/auth?s3cret")),
        Refusal("AuthEndpoint", "must be https", static o => o.AuthEndpoint = new Uri("http://sparkfly.test/auth")),
        Refusal("Identity", "is required", static o => o.Identity = null),
        Refusal("Identity", "is required", static o => o.Identity = " "),
        Refusal("Key", "is required", static o => o.Key = null),
        Refusal("Key", "is required", static o => o.Key = ""),
        Refusal("TokenLifetime", "more than zero", static o => o.TokenLifetime = TimeSpan.Zero, "ExpirationMargin"),
        Refusal("TokenLifetime", "24:00:00 is read as 24 days", static o => o.TokenLifetime = TimeSpan.FromDays(24)),
        Refusal("TokenLifetime", "1.00:00:00", static o => o.TokenLifetime = TimeSpan.FromDays(1) + TimeSpan.FromTicks(1)),
        Refusal("ExpirationMargin", "not be negative", static o => o.ExpirationMargin = TimeSpan.FromTicks(-1)),
        Refusal("ExpirationMargin", "shorter than TokenLifetime", static o => o.ExpirationMargin = o.TokenLifetime),
        Refusal("RefreshAhead", "not be negative", static o => o.RefreshAhead = TimeSpan.FromTicks(-1)),
        Refusal("AuthTimeout", "more than zero", static o => o.AuthTimeout = TimeSpan.Zero),
        Refusal("AuthTimeout", "more than zero", static o => o.AuthTimeout = Timeout.InfiniteTimeSpan),
        Refusal("AuthTimeout", "24:00:00 is read as 24 days", static o => o.AuthTimeout = TimeSpan.FromDays(24)),
        Refusal("AuthTimeout", "a number alone counts days: 30 is 30 days, and 00:00:30 is 30 seconds", static o => o.AuthTimeout = TimeSpan.Parse("30", System.Globalization.CultureInfo.InvariantCulture)),
        Refusal("UnauthorizedRefreshInterval", "not be negative", static o => o.UnauthorizedRefreshInterval = TimeSpan.FromTicks(-1)),
        Refusal("MinFailureBackoff", "more than zero", static o => o.MinFailureBackoff = TimeSpan.Zero),
        Refusal("MaxFailureBackoff", "not be shorter than MinFailureBackoff", static o => o.MaxFailureBackoff = o.MinFailureBackoff / 2),
        Refusal("MaxFailureBackoff", "at most one day", static o => o.MaxFailureBackoff = TimeSpan.FromDays(2)),
        Refusal("DistributedCacheTimeout", "more than zero", static o => o.DistributedCacheTimeout = TimeSpan.Zero),
        Refusal("DistributedCacheTimeout", "at most one day", static o => o.DistributedCacheTimeout = TimeSpan.FromDays(2)),
        Refusal("MaxReplayBodySize", "from 0 to", static o => o.MaxReplayBodySize = -1),
        Refusal("MaxReplayBodySize", "from 0 to", static o => o.MaxReplayBodySize = long.MaxValue),
    ];

    public static TestCaseData[] ValuesThatCannotStandInAHeader() =>
    [
        .. from setting in (string[])["Identity", "Key", "Scope", "ForwardedFor"]
        from value in (string[])["a\r\nX-Evil: s3cret", "a\ns3cret", "s3cret\t", "s3\0cret", "s3crèt", "s3cret☃", "\u007fs3cret", " s3cret", "s3cret "]
        select new TestCaseData(setting, value).SetArgDisplayNames(setting, Uri.EscapeDataString(value)),
    ];

    [TestCaseSource(nameof(Refusals))]
    public void Refused_with_the_setting_s_name_and_without_its_value(
        string setting, string problem, Action<SparkflyAuthOptions> spoil, string? follows)
    {
        SparkflyAuthOptions options = Valid();
        spoil(options);

        string[] failures = Failures(options);

        Assert.That(failures, Has.One.StartsWith($"Sparkfly {setting} ").And.One.Contains(problem));
        Assert.That(failures, Has.Length.EqualTo(follows is null ? 1 : 2), "what else is wrong");
        Assert.That(failures, Has.None.Contains("s3cret"));
    }

    [TestCaseSource(nameof(ValuesThatCannotStandInAHeader))]
    public void A_value_that_cannot_stand_in_a_header_is_refused(string setting, string value)
    {
        SparkflyAuthOptions options = Valid();
        typeof(SparkflyAuthOptions).GetProperty(setting)!.SetValue(options, value);

        string[] failures = Failures(options);

        Assert.That(failures, Has.Length.EqualTo(1));
        Assert.That(failures[0], Does.StartWith($"Sparkfly {setting} is not a valid header value").And.Not.Contain("s3cret").And.Not.Contain(value));
    }

    [TestCase("http://localhost:5280/v1.0")]
    [TestCase("http://LOCALHOST/v1.0")]
    [TestCase("http://127.0.0.1:5280/v1.0/")]
    [TestCase("http://127.1.2.3/")]
    [TestCase("http://[::1]:5280/v1.0/")]
    [TestCase("http://[::ffff:127.0.0.1]/")]
    [TestCase("https://sparkfly.test")]
    public void Plain_http_is_for_this_machine(string address)
    {
        SparkflyAuthOptions options = Valid();
        (options.BaseAddress, options.AuthEndpoint) = (new Uri(address), new Uri(address));

        Assert.That(Failures(options), Is.Empty);
    }

    /// <summary>A header's value is visible ASCII, and spaces inside.</summary>
    [Test]
    public void Every_character_of_visible_ASCII_may_stand_in_a_credential_and_in_a_token_and_its_neighbours_may_not()
    {
        string visible = string.Concat(Enumerable.Range('!', '~' - '!' + 1).Select(static c => (char)c));
        var options = new SparkflyAuthOptions { Identity = visible, Key = $"{visible} {visible}" };

        Assert.That(Configured.NewValidator().Validate("", options).Failures, Is.Null.Or.Empty);
        Assert.That(new SparkflyToken(visible, default, default).Value, Is.EqualTo(visible));
        foreach (char other in " \u001f\u007f\u0080\u00c0")
        {
            Assert.That(() => new SparkflyToken($"a{other}b", default, default), Throws.ArgumentException, $"{(int)other:x}");
            Assert.That(Configured.NewValidator().Validate("", new SparkflyAuthOptions { Identity = "i", Key = $"a{other}b" }).Failed, Is.EqualTo(other != ' '), $"{(int)other:x}");
        }
    }

    [Test]
    public void AllowHttp_opens_plain_http_anywhere()
    {
        SparkflyAuthOptions options = Valid();
        (options.BaseAddress, options.AuthEndpoint) = (new Uri("http://stub/v1.0"), new Uri("http://stub/auth"));
        options.AllowHttp = true;

        Assert.That(Failures(options), Is.Empty);
    }

    [Test]
    public void The_bounds_themselves_are_allowed()
    {
        SparkflyAuthOptions options = Valid();
        options.TokenLifetime = TimeSpan.FromDays(1);
        options.ExpirationMargin = TimeSpan.FromDays(1) - TimeSpan.FromTicks(1);
        options.RefreshAhead = TimeSpan.Zero;
        options.AuthTimeout = TimeSpan.FromDays(1);
        options.UnauthorizedRefreshInterval = TimeSpan.Zero;
        options.MinFailureBackoff = TimeSpan.FromDays(1);
        options.MaxFailureBackoff = TimeSpan.FromDays(1);
        options.DistributedCacheTimeout = TimeSpan.FromDays(1);
        options.MaxReplayBodySize = 0;

        Assert.That(Failures(options), Is.Empty);
        options.MaxReplayBodySize = Array.MaxLength;
        Assert.That(Configured.NewValidator().Validate(Options.DefaultName, options).Succeeded);
    }

    [Test]
    public async Task One_exception_at_the_host_s_start_lists_all_that_is_wrong_with_an_account()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(static services =>
            services.AddSparkflyAuth(static options =>
            {
                options.BaseAddress = new Uri("http://sparkfly.test/?s3cret");
                options.Key = "s3cret\n";
                options.TokenLifetime = TimeSpan.FromDays(24);
            }));

        Assert.That(
            exception.Failures.Select(static f => string.Join(' ', f.Split(' ').Take(2))),
            Is.EquivalentTo((string[])[
                "Sparkfly BaseAddress", "Sparkfly BaseAddress", "Sparkfly Identity", "Sparkfly Key", "Sparkfly TokenLifetime"]));
        Assert.That(exception.ToString(), Does.Not.Contain("s3cret"));
    }

    [Test]
    public async Task Two_bad_accounts_are_told_at_once_each_in_an_exception_of_its_own()
    {
        AggregateException exception = await HostedApp.StartFailsWith<AggregateException>(static services =>
        {
            services.AddSparkflyAuth(static options => options.Identity = "an identity");
            services.AddSparkflyAuth("brand", static options => options.Key = "a key");
            services.AddSparkflyAuth("good", static options => (options.Identity, options.Key) = ("an identity", "a key"));
            services.AddHttpClient("api").AddSparkflyAuthHandler("brand");
        });

        Assert.That(exception.InnerExceptions, Has.All.TypeOf<OptionsValidationException>());
        Assert.That(
            exception.InnerExceptions.Select(static e => e.Message),
            Is.EquivalentTo((string[])["Sparkfly Key is required.", "Sparkfly account 'brand': Identity is required."]));
    }

    [Test]
    public async Task A_day_written_24_00_00_in_configuration_is_refused_with_a_hint()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            static services => services.AddSparkflyAuth(),
            Configured.FromJson("""{ "Sparkfly": { "Identity": "an identity", "Key": "a key", "TokenLifetime": "24:00:00" } }"""));

        Assert.That(
            exception.Message,
            Is.EqualTo("Sparkfly:TokenLifetime must be at most one day, which is written 1.00:00:00; 24:00:00 is read as 24 days, and a number alone counts days: 30 is 30 days, and 00:00:30 is 30 seconds."));
    }

    [TestCase("TokenLifetime", "soon")]
    [TestCase("RetryOnUnauthorized", "perhaps")]
    [TestCase("MaxReplayBodySize", "1 MiB")]
    public async Task A_value_of_the_wrong_type_is_the_binder_s_own_exception(string setting, string value)
    {
        InvalidOperationException exception = await HostedApp.StartFailsWith<InvalidOperationException>(
            static services => services.AddSparkflyAuth(),
            Configured.From(("Sparkfly:Identity", "an identity"), ("Sparkfly:Key", "a key"), ($"Sparkfly:{setting}", value)));

        Assert.That(exception.Message, Does.Contain($"'Sparkfly:{setting}'"));
    }

    [Test]
    public async Task A_missing_section_says_what_is_required()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            static services => services.AddSparkflyAuth());

        Assert.That(exception.Failures, Is.EqualTo((string[])[
            "The configuration section Sparkfly does not exist.", "Sparkfly:Identity is required.", "Sparkfly:Key is required."]));
    }

    [Test]
    public async Task A_good_account_lets_the_host_start_without_a_token_request()
    {
        await using var server = new WireServer(static _ => WireServer.NoContent());
        using IHost host = HostedApp.Build(services => services.AddSparkflyAuth(options =>
        {
            options.BaseAddress = server.BaseAddress;
            (options.Identity, options.Key) = ("an identity", "a key");
        }));

        await host.StartAsync().WaitAsync(TestApp.Patience);
        await host.StopAsync().WaitAsync(TestApp.Patience);

        Assert.That(server.Heads, Is.Empty);
    }

    private static TestCaseData Refusal(string setting, string problem, Action<SparkflyAuthOptions> spoil, string? follows = null)
    {
        SparkflyAuthOptions shown = Valid();
        spoil(shown);
        object? value = typeof(SparkflyAuthOptions).GetProperty(setting)!.GetValue(shown);
        return new TestCaseData(setting, problem, spoil, follows).SetArgDisplayNames(setting, value is null ? "null" : $"'{value}'", problem);
    }

    private static SparkflyAuthOptions Valid() => new() { Identity = "an identity", Key = "a key" };

    private static string[] Failures(SparkflyAuthOptions options) =>
        [.. Configured.NewValidator().Validate(Options.DefaultName, options).Failures ?? []];
}
