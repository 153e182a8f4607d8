using System.Diagnostics;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;

namespace Sparkfly.Auth.Handler;

/// <summary>Configures one Sparkfly account further. Returned by <c>AddSparkflyAuth</c>. Not thread-safe.</summary>
[DebuggerDisplay("Sparkfly account '{Name,nq}'")]
public sealed class SparkflyAuthBuilder
{
    internal const string DistributedCacheKey = "Sparkfly.Auth.Handler";

    internal SparkflyAuthBuilder(string name, IServiceCollection services) => (Name, Services) = (name, services);

    /// <summary>Gets the account's name; empty for the default account.</summary>
    public string Name { get; }

    /// <summary>Gets the services that the account is registered with.</summary>
    public IServiceCollection Services { get; }

    /// <summary>
    /// Shares this account's token between the instances of the application, through the <see cref="IDistributedCache"/> that is registered
    /// with the key <c>"Sparkfly.Auth.Handler"</c>, else the default one.
    /// </summary>
    /// <remarks>
    /// The stored token is encrypted and authenticated with a key that is derived from the account's key. The cache is used when a token is asked for,
    /// not by requests that have one. If it fails, the instance asks for a token of its own. The host connects the cache while it starts, and waits for
    /// that up to 15 seconds.
    /// </remarks>
    /// <example>
    /// <code>
    /// builder.Services.AddStackExchangeRedisCache(options =&gt; options.Configuration = "redis:6379");
    /// builder.Services.AddSparkflyAuth().UseDistributedCache();
    /// </code>
    /// </example>
    /// <returns>The same builder.</returns>
    public SparkflyAuthBuilder UseDistributedCache()
    {
        SparkflyServices.AddFleet(Services, Name);
        return this;
    }

    /// <summary>Gets the account's token while the host starts, before its server takes requests, so that no request waits for it.</summary>
    /// <remarks>
    /// Accounts are warmed up in parallel. In a fleet the token comes from the fleet if it has one. Without a host nothing happens, and the token is
    /// fetched on first use. A repeated call replaces the earlier one.
    /// </remarks>
    /// <example>
    /// <code>builder.Services.AddSparkflyAuth().WarmUpOnStart();</code>
    /// </example>
    /// <param name="required">
    /// Whether the start fails without a token, with the <see cref="SparkflyAuthenticationException"/> that says why. Default:
    /// <see langword="false"/>, which logs a warning and lets the host start.
    /// </param>
    /// <param name="timeout">
    /// How long the start waits. More than zero, at most a day. Default: as long as the token request takes, which
    /// <see cref="SparkflyAuthOptions.AuthTimeout"/> limits; in a fleet, the wait for another instance adds to it. After the timeout the token request
    /// continues. If the token is required, the timeout is a <see cref="TimeoutException"/>.
    /// </param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="timeout"/> is not more than zero, or more than a day.</exception>
    /// <exception cref="InvalidOperationException">This is the builder of an <see cref="ISparkflyAccountSource"/>, whose accounts are not known at start.</exception>
    public SparkflyAuthBuilder WarmUpOnStart(bool required = false, TimeSpan? timeout = null)
    {
        if (timeout is { } limit)
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(limit, TimeSpan.Zero, nameof(timeout));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, TimeSpan.FromDays(1), nameof(timeout));
        }

        if (Name == RegisteredAccounts.OfSource)
        {
            throw new InvalidOperationException(
                $"Which accounts an {nameof(ISparkflyAccountSource)} has is not known when the host starts; {nameof(WarmUpOnStart)} is for registered accounts.");
        }

        SparkflyServices.AddWarmUp(Services, Name, new WarmUp(required, timeout));
        return this;
    }

    /// <summary>
    /// Configures the client that makes this account's token requests: a proxy, certificates, resilience.
    /// </summary>
    /// <remarks>
    /// Handlers from <c>ConfigureHttpClientDefaults</c> do not enter this pipeline, so one attempt is one <c>POST</c>. Handlers added here do, and never
    /// see the credentials or the token. Redirects and cookies of the primary handler are turned off; a primary handler of another type than
    /// <see cref="SocketsHttpHandler"/> or <see cref="HttpClientHandler"/> must not follow redirects itself. The request, retries included, ends with
    /// <see cref="SparkflyAuthOptions.AuthTimeout"/>.
    /// </remarks>
    /// <example>
    /// <code>
    /// builder.Services.AddSparkflyAuth().ConfigureAuthClient(client =&gt;
    ///     client.ConfigurePrimaryHttpMessageHandler(() =&gt; new SocketsHttpHandler { Proxy = new WebProxy("http://proxy:3128") }));
    /// </code>
    /// </example>
    /// <param name="configure">Called at once, with the builder of that client.</param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="configure"/> is <see langword="null"/>.</exception>
    public SparkflyAuthBuilder ConfigureAuthClient(Action<IHttpClientBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        configure(Services.AddHttpClient(SparkflyAuthClient.ClientName(Name)));
        return this;
    }
}
