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
    /// never by a request that has one; where it fails, the instance asks for a token of its own.
    /// </remarks>
    /// <returns>The same builder.</returns>
    public SparkflyAuthBuilder UseDistributedCache()
    {
        Services.AddFleet(Name);
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
