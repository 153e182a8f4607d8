using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2: the options, their defaults, and that each can come from configuration.</summary>
public class OptionsBindingTests
{
    [Test]
    public void The_defaults_are_those_of_the_table()
    {
        var options = new SparkflyAuthOptions();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(options.BaseAddress, Is.EqualTo(new Uri("https://api-staging.sparkfly.com/v1.0/")));
            Assert.That(options.AuthEndpoint, Is.Null);
            Assert.That(options.Identity, Is.Null);
            Assert.That(options.Key, Is.Null);
            Assert.That(options.Scope, Is.Null);
            Assert.That(options.ForwardedFor, Is.Null);
            Assert.That(options.TokenLifetime, Is.EqualTo(TimeSpan.FromDays(1)));
            Assert.That(options.ExpirationMargin, Is.EqualTo(TimeSpan.FromMinutes(5)));
            Assert.That(options.RefreshAhead, Is.EqualTo(TimeSpan.FromMinutes(15)));
            Assert.That(options.AuthTimeout, Is.EqualTo(TimeSpan.FromSeconds(30)));
            Assert.That(options.RetryOnUnauthorized, Is.True);
            Assert.That(options.UnauthorizedRefreshInterval, Is.EqualTo(TimeSpan.FromSeconds(30)));
            Assert.That(options.MinFailureBackoff, Is.EqualTo(TimeSpan.FromSeconds(1)));
            Assert.That(options.MaxFailureBackoff, Is.EqualTo(TimeSpan.FromMinutes(1)));
            Assert.That(options.MaxReplayBodySize, Is.EqualTo(1024 * 1024));
            Assert.That(options.DistributedCacheTimeout, Is.EqualTo(TimeSpan.FromSeconds(1)));
            Assert.That(options.AllowHttp, Is.False);
        }
    }

    [Test]
    public async Task Every_option_can_be_set_from_configuration()
    {
        string key = SecretSweep.NewSecret("key");
        IConfigurationRoot configuration = Configured.FromJson($$"""
            {
              "Sparkfly": {
                "BaseAddress": "http://stub:8080/v9.9",
                "AuthEndpoint": "http://stub:8080/token",
                "Identity": "1234",
                "Key": "{{key}}",
                "Scope": "offers",
                "ForwardedFor": "203.0.113.7",
                "TokenLifetime": "1.00:00:00",
                "ExpirationMargin": "00:06:00",
                "RefreshAhead": "00:00:00",
                "AuthTimeout": "00:00:07.5",
                "RetryOnUnauthorized": false,
                "UnauthorizedRefreshInterval": "00:00:08",
                "MinFailureBackoff": "00:00:09",
                "MaxFailureBackoff": "00:10:00",
                "MaxReplayBodySize": 11,
                "DistributedCacheTimeout": "00:00:12",
                "AllowHttp": true
              }
            }
            """);
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<IConfiguration>(configuration);
            services.AddSparkflyAuth();
        });

        SparkflyAuthOptions options = app.Services.GetRequiredService<IOptionsMonitor<SparkflyAuthOptions>>().CurrentValue;

        using (Assert.EnterMultipleScope())
        {
            Assert.That(options.BaseAddress, Is.EqualTo(new Uri("http://stub:8080/v9.9")));
            Assert.That(options.AuthEndpoint, Is.EqualTo(new Uri("http://stub:8080/token")));
            Assert.That(options.Identity, Is.EqualTo("1234"));
            Assert.That(options.Key, Is.EqualTo(key));
            Assert.That(options.Scope, Is.EqualTo("offers"));
            Assert.That(options.ForwardedFor, Is.EqualTo("203.0.113.7"));
            Assert.That(options.TokenLifetime, Is.EqualTo(TimeSpan.FromDays(1)));
            Assert.That(options.ExpirationMargin, Is.EqualTo(TimeSpan.FromMinutes(6)));
            Assert.That(options.RefreshAhead, Is.EqualTo(TimeSpan.Zero));
            Assert.That(options.AuthTimeout, Is.EqualTo(TimeSpan.FromSeconds(7.5)));
            Assert.That(options.RetryOnUnauthorized, Is.False);
            Assert.That(options.UnauthorizedRefreshInterval, Is.EqualTo(TimeSpan.FromSeconds(8)));
            Assert.That(options.MinFailureBackoff, Is.EqualTo(TimeSpan.FromSeconds(9)));
            Assert.That(options.MaxFailureBackoff, Is.EqualTo(TimeSpan.FromMinutes(10)));
            Assert.That(options.MaxReplayBodySize, Is.EqualTo(11));
            Assert.That(options.DistributedCacheTimeout, Is.EqualTo(TimeSpan.FromSeconds(12)));
            Assert.That(options.AllowHttp, Is.True);
        }
    }

    [Test]
    public void No_option_is_missing_from_these_tests()
    {
        string source = string.Join(' ', typeof(SparkflyAuthOptions).GetProperties().Select(static p => p.Name).Order(StringComparer.Ordinal));

        Assert.That(
            source,
            Is.EqualTo(
                "AllowHttp AuthEndpoint AuthTimeout BaseAddress DistributedCacheTimeout ExpirationMargin ForwardedFor Identity Key MaxFailureBackoff " +
                "MaxReplayBodySize MinFailureBackoff RefreshAhead RetryOnUnauthorized Scope TokenLifetime UnauthorizedRefreshInterval"),
            "A new option wants a line in each of the two tests above.");
    }

    [TestCase("https://sparkfly.test/v1.0")]
    [TestCase("https://sparkfly.test/v1.0/")]
    public async Task The_base_address_is_taken_with_or_without_its_last_slash(string address)
    {
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.BaseAddress = new Uri(address);
                options.Identity = SecretSweep.NewSecret("identity");
                options.Key = SecretSweep.NewSecret("key");
            });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });

        using HttpClient client = app.Client();

        Assert.That(client.BaseAddress!.AbsoluteUri, Is.EqualTo("https://sparkfly.test/v1.0/"));
    }
}
