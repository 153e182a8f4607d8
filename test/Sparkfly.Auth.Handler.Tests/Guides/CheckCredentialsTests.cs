using CheckCredentials;
using Microsoft.Extensions.Configuration;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/samples/CheckCredentials: one token request, and a report without secrets.</summary>
public class CheckCredentialsTests
{
    // Where it is built, with what it depends on: beside the tests it would find other versions.
    private static string ProgramPath => Path.Combine(
        AppContext.BaseDirectory.Replace(
            Path.Combine("test", "Sparkfly.Auth.Handler.Tests"), Path.Combine("docs", "samples", "CheckCredentials"), StringComparison.Ordinal),
        "CheckCredentials.dll");

    [Test]
    public async Task With_the_right_credentials_it_reports_the_address_the_status_and_the_end_of_the_token()
    {
        await using StandInServer server = await Sparkfly.StartAsync();

        (bool isGood, string report) = await CheckAsync(server);

        Assert.That(isGood, report);
        Assert.That(report, Does.Contain($"POST {server.BaseAddress}auth").And.Contain("204 NoContent"));
        Assert.That(report, Does.Match(@"This token is used until \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\."));
        Assert.That(report, Does.Contain("Sparkfly:Key comes from MemoryConfigurationProvider."));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task With_wrong_credentials_it_reports_the_status_the_error_of_Sparkfly_and_what_to_check()
    {
        await using StandInServer server = await Sparkfly.StartAsync();

        (bool isGood, string report) = await CheckAsync(server, ("Sparkfly:Key", SecretSweep.NewSecret("wrong-key")));

        Assert.That(isGood, Is.False, report);
        Assert.That(report, Does.Contain($"POST {server.BaseAddress}auth").And.Contain("401 Unauthorized"));
        Assert.That(report, Does.Contain("\"Invalid credentials\"").And.Contain("check Identity and Key").And.Contain("Trying again does not help"));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task Where_auth_is_at_the_root_it_reports_both_addresses_and_the_setting_that_says_so()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static options => options with { AuthPath = "/auth" });

        (bool isGood, string report) = await CheckAsync(server);

        Assert.That(isGood, report);
        Assert.That(report, Does.Contain("404 NotFound").And.Contain($"POST {new Uri(server.BaseAddress, "/auth")}").And.Contain("set AuthEndpoint"));
    }

    [Test]
    public async Task A_named_account_is_checked_by_its_own_section()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        IConfigurationRoot configuration = Configured.From(
            ("Sparkfly:tacos:BaseAddress", server.BaseAddress.AbsoluteUri),
            ("Sparkfly:tacos:Identity", server.Options.Identity),
            ("Sparkfly:tacos:Key", server.Options.Key));

        (bool isGood, string report) = await CheckAsync(configuration, "tacos");

        Assert.That(isGood, report);
        Assert.That(report, Does.Contain("Sparkfly:tacos:Key comes from"));
    }

    [Test]
    public async Task Without_the_section_it_lists_what_is_missing_by_key_and_asks_nothing()
    {
        (bool isGood, string report) = await CheckAsync(Configured.From());

        Assert.That(isGood, Is.False, report);
        Assert.That(report, Does.Contain("The configuration section Sparkfly does not exist.")
            .And.Contain("Sparkfly:Identity is required.").And.Contain("Sparkfly:Key is required.").And.Not.Contain("POST"));
    }

    [TestCase("Sparkfly:BaseAddress", "http://sparkfly.example/v1.0")]
    [TestCase("Sparkfly:BaseAddress", "sparkfly")]
    [TestCase("Sparkfly:AuthTimeout", "soon")]
    [TestCase("Sparkfly:Key", "two\nlines")]
    public async Task An_invalid_setting_is_named_by_its_key_and_nothing_is_asked(string key, string value)
    {
        await using StandInServer server = await Sparkfly.StartAsync();

        (bool isGood, string report) = await CheckAsync(server, (key, value));

        Assert.That(isGood, Is.False, report);
        Assert.That(report, Does.Contain("Nothing was asked."));
        Assert.That(report[report.IndexOf("Nothing was asked.", StringComparison.Ordinal)..], Does.Contain(key));
        Assert.That(server.TokenRequests, Is.Zero);
    }

    [Test]
    public async Task A_key_that_is_no_option_is_reported()
    {
        await using StandInServer server = await Sparkfly.StartAsync();

        (_, string report) = await CheckAsync(server, ("Sparkfly:BaseUrl", "https://api.sparkfly.com/v1.0"));

        Assert.That(report, Does.Contain("Warning: ").And.Contain("has the key Sparkfly:BaseUrl, which is no option"));
    }

    [Test]
    public async Task An_address_that_is_not_reached_is_reported_with_its_cause()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        using var port = new SilentPort();
        string nowhere = port.BaseAddress.AbsoluteUri.TrimEnd('/');

        (bool isGood, string report) = await CheckAsync(server, ("Sparkfly:BaseAddress", nowhere));

        Assert.That(isGood, Is.False, report);
        Assert.That(report, Does.Contain($"POST {nowhere}/auth").And.Contain("ConnectionError").And.Contain("Try again later."));
    }

    [TestCase(true, ExpectedResult = 0)]
    [TestCase(false, ExpectedResult = 1)]
    public async Task<int> The_exit_code_says_whether_there_was_a_token(bool isKeyRight)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        string? trace = null;
        server.OnTokenRequest = context =>
        {
            trace = context.Request.Headers.TraceParent;
            return Task.FromResult(false);
        };
        await using Subprocess program = Subprocess.DotNet(
            [ProgramPath],
            ("Sparkfly__BaseAddress", server.BaseAddress.AbsoluteUri),
            ("Sparkfly__Identity", server.Options.Identity),
            ("Sparkfly__Key", isKeyRight ? server.Options.Key : SecretSweep.NewSecret("wrong-key")));

        string report = await program.ReadToEndAsync(Subprocess.Patience);

        SecretSweep.Note(report);
        Assert.That(report, Does.Contain(isKeyRight ? "The credentials are right." : "The credentials were rejected"), () => program.Errors);
        Assert.That(trace, Is.Null, "a program without a trace and without a listener begins none");
        return await program.EndAsync();
    }

    private static Task<(bool IsGood, string Report)> CheckAsync(StandInServer server, params (string Key, string? Value)[] changes)
    {
        IConfigurationRoot configuration = Configured.For(server);
        foreach ((string key, string? value) in changes)
        {
            configuration[key] = value;
        }

        return CheckAsync(configuration);
    }

    private static async Task<(bool IsGood, string Report)> CheckAsync(IConfigurationRoot configuration, string account = "")
    {
        using var report = new StringWriter();
        bool isGood = await CredentialCheck.RunAsync(configuration, account, report);

        // The end of the test run searches it for every secret and token.
        SecretSweep.Note(report.ToString());
        return (isGood, report.ToString());
    }
}
