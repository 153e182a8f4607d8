using System.Diagnostics;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;

namespace Sparkfly.Auth.Handler;

/// <summary>Configures one Sparkfly account further; returned by <c>AddSparkflyAuth</c>. Not thread-safe, as registration is not.</summary>
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
    /// What is stored is encrypted and authenticated with a key derived from the account's own. The cache is used where a token is asked for,
    /// never by a request that has one; where it fails, the instance asks for a token of its own. It is connected while the host starts, which waits
    /// for that, 15 seconds at most.
    /// </remarks>
    /// <returns>The same builder.</returns>
    public SparkflyAuthBuilder UseDistributedCache()
    {
        Services.AddFleet(Name);
        return this;
    }

    /// <summary>Gets the account's token while the host starts, before its server takes requests, so that no request waits for it.</summary>
    /// <remarks>
    /// Accounts are warmed up side by side. In a fleet the token comes from the fleet, where it has one. Without a host nothing happens, and the
    /// token is fetched on first use. A repeated call replaces the earlier one.
    /// </remarks>
    /// <param name="required">
    /// Whether the start fails where there is no token, with the <see cref="SparkflyAuthenticationException"/> that says why. Default:
    /// <see langword="false"/>, which logs a warning and lets the host start.
    /// </param>
    /// <param name="timeout">
    /// How long the start waits; more than zero, a day at most. Default: as long as the token request takes, which
    /// <see cref="SparkflyAuthOptions.AuthTimeout"/> bounds; in a fleet, waiting for another instance's comes on top. After the timeout, which
    /// is a <see cref="TimeoutException"/> where the token is required, the token request goes on.
    /// </param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="timeout"/> is not more than zero, or more than a day.</exception>
    /// <exception cref="InvalidOperationException">This is the builder of an <see cref="ISparkflyAccountSource"/>, which is asked for names, and knows none.</exception>
    public SparkflyAuthBuilder WarmUpOnStart(bool required = false, TimeSpan? timeout = null)
    {
        if (timeout is { } limit)
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(limit, TimeSpan.Zero, nameof(timeout));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, TimeSpan.FromDays(1), nameof(timeout));
        }

        if (Name == AccountRegistrations.OfSource)
        {
            throw new InvalidOperationException(
                $"Which accounts an {nameof(ISparkflyAccountSource)} has is not known when the host starts; {nameof(WarmUpOnStart)} is for registered accounts.");
        }

        Services.AddWarmUp(Name, new WarmUp(required, timeout));
        return this;
    }

    /// <summary>
    /// Configures the client that this account's token requests are made with: a proxy, certificates, resilience.
    /// </summary>
    /// <remarks>
    /// Handlers from <c>ConfigureHttpClientDefaults</c> do not enter this pipeline, so that one attempt is one <c>POST</c>; those added here do.
    /// Whatever is put in place of the primary handler, redirects and cookies are turned off; a handler of another type than
    /// <see cref="SocketsHttpHandler"/> or <see cref="HttpClientHandler"/> must not follow redirects by itself. The whole request, retries
    /// included, ends with <see cref="SparkflyAuthOptions.AuthTimeout"/>.
    /// </remarks>
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
