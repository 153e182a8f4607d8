using Microsoft.Extensions.Options;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.7: an account's name may come from outside, and forges no line of a log and no long message.</summary>
public class AccountNameTests
{
    [TestCase("", "(default)")]
    [TestCase("brand", "brand")]
    [TestCase("a\r\nb\tc", @"a\r\nb\tc")]
    [TestCase("a\0b\u001b[31m\u0085\u2028\u202e", @"a\u0000b\u001b[31m\u0085\u2028\u202e")]
    [TestCase("tag\U000E0001", @"tag\ue0001")]
    [TestCase("Größe 🌮", "Größe 🌮")]
    public void A_name_is_shown_on_one_line(string name, string shown) => Assert.That(AccountName.Shown(name), Is.EqualTo(shown));

    [Test]
    public void A_message_calls_the_default_account_Sparkfly_and_another_by_its_name()
    {
        Assert.That((AccountName.Label(""), AccountName.Label("tacos")), Is.EqualTo(("Sparkfly", "Sparkfly account 'tacos'")));
    }

    // Which no encoding can write. Not as cases: their names would hold it.
    [Test]
    public void Half_a_surrogate_pair_is_shown_as_the_replacement_character()
    {
        Assert.That(AccountName.Shown("\ud83c!"), Is.EqualTo("\ufffd!"));
        Assert.That(AccountName.Shown("!\ud83c"), Is.EqualTo("!\ufffd"));
    }

    [TestCase(100, 'a', 100)]
    [TestCase(101, 'a', 101)]
    [TestCase(100_000, 'a', 101)]
    [TestCase(100_000, '\n', 101)]
    public void A_name_is_cut_at_100_characters(int length, char c, int shownLength)
    {
        string shown = AccountName.Shown(new string(c, length));

        Assert.That(shown, Has.Length.EqualTo(shownLength));
        Assert.That(AccountName.Shown(shown), Is.EqualTo(shown), "shown twice");
    }

    [Test]
    public void A_pair_is_not_cut_in_half() =>
        Assert.That(AccountName.Shown(new string('a', 99) + "🌮🌮"), Is.EqualTo(new string('a', 99) + "…"));

    [Test]
    public void An_escaped_character_is_not_cut() =>
        Assert.That(AccountName.Shown(new string('a', 99) + "\nb"), Is.EqualTo(new string('a', 99) + "…"));

    [TestCase("evil\r\n[Error] forged", @"'evil\r\n[Error] forged'")]
    [TestCase(null, "aaa…'")]
    public async Task An_unknown_name_of_a_request_is_told_short_and_on_one_line_with_20_names_at_most(string? name, string told)
    {
        await using var app = new TestApp(static services =>
        {
            for (int i = 0; i < 1000; i++)
            {
                services.AddSparkflyAuth($"brand {i:d4}\n", Account);
            }

            services.AddHttpClient("api").AddSparkflyAuthHandler("brand 0000\n");
        });
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        request.SetSparkflyAccount(name ?? new string('a', 100_000));

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => client.SendAsync(request));

        Assert.That(exception.Message, Does.Contain(told).And.Not.Contain("\n").And.Contain(@"'brand 0019\n' and 980 more").And.Not.Contain("brand 0020"));
        Assert.That(exception.Message, Has.Length.LessThan(1000));
        Assert.That(app.Log.Where(static e => e.Contains("forged", StringComparison.Ordinal) && e.Contains('\n', StringComparison.Ordinal)), Is.Empty);
    }

    [Test]
    public async Task Twenty_registered_names_are_all_told()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(static services =>
        {
            for (int i = 1; i <= 20; i++)
            {
                services.AddSparkflyAuth($"brand {i:d2}", Account);
            }

            services.AddHttpClient("api").AddSparkflyAuthHandler("tacos");
        });

        Assert.That(exception.Message, Does.Contain("'brand 01', ").And.Contain(", 'brand 20'.").And.Not.Contain("more"));
    }

    [Test]
    public async Task A_name_of_a_source_is_logged_and_told_on_one_line()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        const string Name = "tenant\r\n[Error] forged";
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAccountSource<Tenants>();
            services.AddSingleton(server);
            services.AddHttpClient("api", client => client.BaseAddress = server.BaseAddress).AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();
        using HttpRequestMessage good = Request(Name);
        using HttpResponseMessage response = await client.SendAsync(good);
        server.RevokeTokens();
        using HttpRequestMessage replayed = Request(Name);
        (await client.SendAsync(replayed)).Dispose();
        using HttpRequestMessage elsewhere = Request(Name);
        elsewhere.RequestUri = new Uri("http://127.0.0.1:1/");
        Exception[] exceptions =
        [
            await Thrown.By<InvalidOperationException>(() => client.SendAsync(elsewhere)),
            await Thrown.By<InvalidOperationException>(() => client.SendAsync(Request("unknown\n"))),
            await Thrown.By<OptionsValidationException>(() => client.SendAsync(Request("invalid\n"))),
            await Thrown.By<SparkflyAuthenticationException>(() => client.SendAsync(Request("broken\n"))),
            await Thrown.By<SparkflyAuthenticationException>(() => client.SendAsync(Request("wrong\n"))),
        ];

        Assert.That(exceptions.Select(static e => e.Message), Is.All.Not.Contains("\n"));
        string[] ours = [.. app.Log.Where(static e => e.Contains("] Sparkfly.Auth.Handler[", StringComparison.Ordinal))];
        Assert.That(ours, Has.Some.Contains(@"tenant\r\n[Error] forged"));
        Assert.That(ours.Where(static e => e.Contains("\n[Error] forged", StringComparison.Ordinal)), Is.Empty);
    }

    [Test]
    public async Task Where_only_named_accounts_are_registered_and_a_client_asks_for_the_default_one_they_are_listed()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(static services =>
        {
            services.AddSparkflyAuth("tacos", Account);
            services.AddSparkflyAuth("bagels", Account);
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });

        Assert.That(exception.Message, Does.Contain("The default Sparkfly account is not registered").And.Contain("Registered: 'bagels', 'tacos'."));
    }

    [Test]
    public async Task An_invalid_account_is_told_by_its_name_on_one_line()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(
            static services => services.AddSparkflyAuth("tacos\n", static o => o.Key = "key"));

        Assert.That(exception.Message, Does.Contain(@"Sparkfly account 'tacos\n': Identity is required"));
    }

    private static void Account(SparkflyAuthOptions options) =>
        (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));

    private static HttpRequestMessage Request(string account)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        request.SetSparkflyAccount(account);
        return request;
    }

    private sealed class Tenants(StandInServer server) : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken)
        {
            var options = new SparkflyAuthOptions();
            options.Use(server);
            options.Key = name == "wrong\n" ? SecretSweep.NewSecret("wrong") : name == "invalid\n" ? null : options.Key;
            return name == "broken\n" ? throw new InvalidOperationException("no database") : new(name == "unknown\n" ? null : options);
        }
    }
}
