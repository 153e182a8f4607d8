using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.FileProviders;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2: what was configured, and what was not, is said.</summary>
public class ConfigurationMessagesTests
{
    [Test]
    public async Task A_named_account_reads_its_own_section()
    {
        string key = SecretSweep.NewSecret("key");
        await using TestApp app = App($$"""{ "Sparkfly": { "Identity": "1", "Key": "{{key}}1", "north": { "Identity": "2", "Key": "{{key}}2" } } }""", static services =>
        {
            services.AddSparkflyAuth();
            services.AddSparkflyAuth("north");
        });

        var options = app.Services.GetRequiredService<IOptionsMonitor<SparkflyAuthOptions>>();

        Assert.That((options.Get("").Identity, options.Get("north").Identity), Is.EqualTo(("1", "2")));
        Assert.That(options.Get("north").Key, Is.EqualTo(key + "2"));
    }

    [Test]
    public async Task A_named_accounts_section_is_followed_on_reload()
    {
        var sparkfly = new InMemorySparkfly();
        IConfigurationRoot configuration = new ConfigurationBuilder().AddInMemoryCollection(
            sparkfly.Settings.AsEnumerable().Where(static s => s.Value is not null).ToDictionary(static s => $"Sparkfly:north:{s.Key}", static s => s.Value)).Build();
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<IConfiguration>(configuration);
            services.AddSparkflyAuth("north").ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => sparkfly.Auth));
        });
        var tokens = app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("north");
        SparkflyToken first = await tokens.GetTokenAsync();

        configuration["Sparkfly:north:Scope"] = "offers";
        configuration.Reload();

        Assert.That((await tokens.GetTokenAsync()).Value, Is.Not.EqualTo(first.Value));
    }

    [Test]
    public async Task Adding_an_account_by_name_alone_is_refused_without_a_name_and_for_the_name_of_all()
    {
        var services = new ServiceCollection();

        await Thrown.By<ArgumentNullException>(() => Task.FromResult(services.AddSparkflyAuth((string)null!)));
        await Thrown.By<ArgumentException>(() => Task.FromResult(services.AddSparkflyAuth("*")));
    }

    [Test]
    public async Task What_is_wrong_is_listed_by_its_configuration_key([Values("", "north")] string name)
    {
        string section = name.Length == 0 ? "Sparkfly" : $"Sparkfly:{name}";
        OptionsValidationException exception = await StartFails(
            services => services.AddSparkflyAuth(name), ($"{section}:Identity", "1"), ($"{section}:BaseAddress", "http://api.sparkfly.test"));

        Assert.That(exception.Failures, Has.One.StartsWith($"{section}:BaseAddress must be https").And.One.EqualTo($"{section}:Key is required."));
        Assert.That(exception.Failures.Count(), Is.EqualTo(2));
    }

    [Test]
    public async Task So_it_is_for_a_section_elsewhere()
    {
        IConfigurationRoot configuration = Configured.From(("Tenants:0:Identity", "1"));

        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            services => services.AddSparkflyAuth("a", configuration.GetSection("Tenants:0")));

        Assert.That(exception.Failures, Is.EqualTo((string[])["Tenants:0:Key is required."]));
    }

    [Test]
    public async Task A_section_that_does_not_exist_is_said_first([Values("", "north")] string name)
    {
        string section = name.Length == 0 ? "Sparkfly" : $"Sparkfly:{name}";

        OptionsValidationException exception = await StartFails(services => services.AddSparkflyAuth(name), ("Sparkly:Key", "1"));

        Assert.That(exception.Failures, Is.EqualTo((string[])[
            $"The configuration section {section} does not exist.", $"{section}:Identity is required.", $"{section}:Key is required."]));
    }

    [Test]
    public async Task A_section_that_does_not_exist_is_no_error_where_code_sets_the_options()
    {
        using IHost host = HostedApp.Build(static services =>
        {
            services.AddSparkflyAuth();
            services.AddSparkflyAuth(static o => (o.Identity, o.Key) = ("1", SecretSweep.NewSecret("key")));
        });

        await host.StartAsync();
    }

    [Test]
    public async Task Without_an_IConfiguration_the_exception_says_what_to_do([Values("", "north")] string name)
    {
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(name);
            services.AddHttpClient("api").AddSparkflyAuthHandler(name);
        });

        InvalidOperationException ofClient = await Thrown.By<InvalidOperationException>(() => Task.FromResult(app.Client()));
        InvalidOperationException ofProvider = await Thrown.By<InvalidOperationException>(() => Task.FromResult(
            app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>(name.Length == 0 ? null : name)));

        foreach (InvalidOperationException exception in (InvalidOperationException[])[ofClient, ofProvider])
        {
            Assert.That(exception.Message, Does.Contain(name.Length == 0 ? "'Sparkfly'" : "'Sparkfly:north'")
                .And.Contain("services.AddSingleton<IConfiguration>(configuration)").And.Contain("services.AddSparkflyAuth(options => …)"));
        }
    }

    [Test]
    public async Task The_base_address_in_use_is_logged_once_at_Information()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();

        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            sparkfly.Reload("Unrelated", $"{i}");
        }

        Assert.That(app.Log.Where(static e => e.Contains("[13]")).Single(), Does.StartWith("[Information]").And.Contain("https://sparkfly.test/v1.0/"));
    }

    [Test]
    public async Task A_changed_base_address_is_logged_again()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        _ = await app.Tokens.GetTokenAsync();

        sparkfly.Reload("BaseAddress", "https://other.sparkfly.test/v1.0");

        Assert.That(app.Log.Last(static e => e.Contains("[13]")), Does.Contain("https://other.sparkfly.test/v1.0/"));
    }

    [TestCase("Production", null, 1)]
    [TestCase("Production", "https://api-staging.sparkfly.com/v1.0", 0)]
    [TestCase("Production", "https://api.sparkfly.com/v1.0", 0)]
    [TestCase("Staging", null, 0)]
    [TestCase("Development", null, 0)]
    [TestCase(null, null, 0)]
    public async Task Staging_by_default_is_logged_at_Warning_in_Production(string? environment, string? baseAddress, int warnings)
    {
        IConfigurationRoot configuration = Configured.From(
            ("Sparkfly:Identity", "1"),
            ("Sparkfly:Key", SecretSweep.NewSecret("key")),
            baseAddress is null ? ("Logging:LogLevel", "Trace") : ("Sparkfly:BaseAddress", baseAddress));
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<IConfiguration>(configuration);
            if (environment is not null)
            {
                services.AddSingleton<IHostEnvironment>(new HostEnvironment(environment));
            }

            services.AddSparkflyAuth();
        });

        _ = app.Services.GetRequiredService<ISparkflyTokenProvider>();

        Assert.That(app.Log.Count(static e => e.StartsWith("[Warning]", StringComparison.Ordinal)), Is.EqualTo(warnings));
        if (warnings > 0)
        {
            Assert.That(app.Log, Has.One.Contains("[14]").And.One.Contains("Set Sparkfly:BaseAddress, for production to https://api.sparkfly.com/v1.0/."));
        }
    }

    [Test]
    public async Task Staging_set_in_code_is_no_warning()
    {
        await using var app = new TestApp(static services =>
        {
            services.AddSingleton<IHostEnvironment>(new HostEnvironment("Production"));
            services.AddSparkflyAuth(static o => (o.BaseAddress, o.Identity, o.Key) = (SparkflyEnvironments.Staging, "1", SecretSweep.NewSecret("key")));
        });

        _ = app.Services.GetRequiredService<ISparkflyTokenProvider>();

        Assert.That(app.Log, Has.None.Contains("[14]"));
    }

    [Test]
    public async Task A_value_in_the_section_that_is_no_option_is_logged_at_Warning_by_its_key_alone()
    {
        await using TestApp app = App($$"""
            {
              "Sparkfly": {
                "Identity": "1", "key": "{{SecretSweep.NewSecret("key")}}", "BaseUrl": "{{SecretSweep.NewSecret("url")}}", "TimeOut": "{{SecretSweep.NewSecret("time")}}",
                "north": { "Identity": "2", "Key": "{{SecretSweep.NewSecret("key")}}", "Scopes": "{{SecretSweep.NewSecret("scope")}}" }
              }
            }
            """, static services => services.AddSparkflyAuth());

        _ = app.Services.GetRequiredService<ISparkflyTokenProvider>();

        Assert.That(app.Log.Where(static e => e.StartsWith("[Warning]", StringComparison.Ordinal)), Has.Exactly(2).Contains("[15]")
            .And.One.Contains("Sparkfly:BaseUrl").And.One.Contains("Sparkfly:TimeOut"), "and not a key of another account's section");
    }

    [Test]
    public async Task A_reload_warns_of_keys_that_are_new_only()
    {
        IConfigurationRoot configuration = Configured.From(("Sparkfly:Identity", "1"), ("Sparkfly:Key", SecretSweep.NewSecret("key")), ("Sparkfly:Url", "x"));
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<IConfiguration>(configuration);
            services.AddSparkflyAuth();
        });
        _ = app.Services.GetRequiredService<ISparkflyTokenProvider>();

        configuration["Sparkfly:Scopes"] = "x";
        configuration["Sparkfly:Scope"] = "offers";
        configuration.Reload();

        Assert.That(app.Log.Where(static e => e.Contains("[15]")), Has.Exactly(2).Items.And.One.Contains("Sparkfly:Url").And.One.Contains("Sparkfly:Scopes"));
    }

    private static Task<OptionsValidationException> StartFails(Action<IServiceCollection> register, params (string Key, string? Value)[] settings) =>
        HostedApp.StartFailsWith<OptionsValidationException>(register, Configured.From(settings));

    private static TestApp App(string json, Action<IServiceCollection> register) => new(services =>
    {
        services.AddSingleton<IConfiguration>(Configured.FromJson(json));
        register(services);
    });

    private sealed class HostEnvironment(string name) : IHostEnvironment
    {
        public string EnvironmentName { get; set; } = name;

        public string ApplicationName { get; set; } = "tests";

        public string ContentRootPath { get; set; } = "/";

        public IFileProvider ContentRootFileProvider { get; set; } = new NullFileProvider();
    }
}
