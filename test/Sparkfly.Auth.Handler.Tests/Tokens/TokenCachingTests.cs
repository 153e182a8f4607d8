using System.Net;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Moq;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 3.1 and 3.8: one token, kept in the application's <see cref="IMemoryCache"/>, on the application's clock.</summary>
public class TokenCachingTests
{
    [Test]
    public async Task The_first_request_asks_for_a_token_and_every_later_one_uses_the_cached_one()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        var tokens = new HashSet<string?>();
        sparkfly.OnApiRequest = (request, _) =>
        {
            tokens.Add(InMemorySparkfly.TokenOf(request));
            return Task.FromResult<HttpResponseMessage?>(null);
        };

        Assert.That(sparkfly.TokenRequests.Value, Is.Zero, "nothing is asked before it is needed");
        for (int i = 0; i < 20; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), $"request {i}");
        }

        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1), "token requests for 20 requests");
        Assert.That(tokens, Has.Count.EqualTo(1), "different tokens seen");
    }

    [Test]
    public async Task The_token_is_cached_with_a_size_and_relatively_for_its_lifetime_without_the_margin_and_without_the_time_it_took()
    {
        var sparkfly = new InMemorySparkfly();
        var entry = new Mock<ICacheEntry>();
        entry.SetupAllProperties();
        object? key = null;
        object? none;
        var cache = new Mock<IMemoryCache>();
        cache.Setup(c => c.TryGetValue(It.IsAny<object>(), out none)).Returns(false);
        cache.Setup(static c => c.CreateEntry(It.IsAny<object>())).Callback((object k) => key = k).Returns(entry.Object);
        await using TestApp app = sparkfly.App(
            static options => (options.TokenLifetime, options.ExpirationMargin) = (TimeSpan.FromHours(10), TimeSpan.FromHours(1)),
            services => services.AddSingleton(cache.Object));
        sparkfly.OnTokenRequest = (_, _) =>
        {
            app.Time.Advance(TimeSpan.FromSeconds(10));
            return Task.FromResult<HttpResponseMessage?>(null);
        };

        SparkflyToken token = await app.Tokens.GetTokenAsync();

        Assert.That(entry.Object.Value, Is.SameAs(token));
        Assert.That(entry.Object.AbsoluteExpirationRelativeToNow, Is.EqualTo(TimeSpan.FromHours(9) - TimeSpan.FromSeconds(10)));
        Assert.That(entry.Object.AbsoluteExpiration, Is.Null, "the clocks of the cache and the application need not agree");
        Assert.That(entry.Object.Size, Is.EqualTo(1));
        entry.Verify(static e => e.Dispose(), Times.Once, "an entry is in the cache once it is disposed of");
        Assert.That(key, Is.InstanceOf<string>().And.Not.Contain(sparkfly.Identity).And.Not.Contain(sparkfly.Settings["Key"]));
        cache.Verify(static c => c.CreateEntry(It.IsAny<object>()), Times.Once);
    }

    [Test]
    public async Task A_token_that_the_cache_holds_is_used_rather_than_another_asked_for()
    {
        var sparkfly = new InMemorySparkfly();
        using var cache = new MemoryCache(new MemoryCacheOptions());
        await using TestApp first = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));
        await using TestApp second = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));

        SparkflyToken obtained = await first.Tokens.GetTokenAsync();
        SparkflyToken found = await second.Tokens.GetTokenAsync();

        Assert.That(found.Value, Is.EqualTo(obtained.Value));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(1));
    }

    [Test]
    public async Task A_cached_token_that_was_rejected_is_not_used_again()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();

        SparkflyToken rejected = await app.Tokens.GetTokenAsync();
        SparkflyToken renewed = await app.Tokens.RenewTokenAsync(rejected);

        Assert.That(renewed.Value, Is.Not.EqualTo(rejected.Value));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    [Test]
    public async Task A_newer_token_in_the_cache_replaces_a_rejected_one_without_a_POST()
    {
        var sparkfly = new InMemorySparkfly();
        using var cache = new MemoryCache(new MemoryCacheOptions());
        await using TestApp first = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));
        await using TestApp second = sparkfly.App(register: services => services.AddSingleton<IMemoryCache>(cache));
        SparkflyToken rejected = await first.Tokens.GetTokenAsync();
        first.Time.Advance(TimeSpan.FromMinutes(1));
        second.Time.Advance(TimeSpan.FromMinutes(1));
        SparkflyToken renewed = await second.Tokens.RenewTokenAsync(rejected);

        SparkflyToken found = await first.Tokens.RenewTokenAsync(rejected);

        Assert.That(found.Value, Is.EqualTo(renewed.Value));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2), "a cold start, a renewal");
    }

    [Test]
    public async Task Time_comes_from_the_TimeProvider_in_the_container()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();

        SparkflyToken token = await app.Tokens.GetTokenAsync();

        Assert.That(token.ObtainedAt, Is.EqualTo(app.Time.GetUtcNow()));
        Assert.That(token.ExpiresAt, Is.EqualTo(app.Time.GetUtcNow() + TimeSpan.FromDays(1) - TimeSpan.FromMinutes(5)));
    }

    [Test]
    public async Task Time_is_the_systems_where_no_TimeProvider_is_registered()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App(register: static services => services.RemoveAll<TimeProvider>());

        DateTimeOffset before = DateTimeOffset.UtcNow;
        SparkflyToken token = await app.Tokens.GetTokenAsync();

        Assert.That(token.ObtainedAt, Is.InRange(before, DateTimeOffset.UtcNow));
    }
}
