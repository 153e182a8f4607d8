using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;
using Sparkfly.Auth.Handler;
using Sparkfly.Auth.Handler.Testing;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Puts a fake Sparkfly under an application.</summary>
public static class FakeSparkflyServiceCollectionExtensions
{
    /// <summary>
    /// Puts a fake Sparkfly under every client of the application that has the Sparkfly handler, and under the token requests of every account.
    /// Nothing of them leaves the process. Other clients stay as they are.
    /// </summary>
    /// <remarks>
    /// <para>
    /// Called before or after the application's own registrations, in the <c>ConfigureTestServices</c> of a <c>WebApplicationFactory</c> too; the
    /// fake replaces the primary handler of each client. It uses the <see cref="TimeProvider"/> in the container, which
    /// <paramref name="timeProvider"/> replaces: where the application registers one too, call this after it.
    /// </para>
    /// <para>
    /// A registered account that lacks its identity or key is given one, <c>fake-identity</c> and <c>fake-key</c> (<c>fake-identity-tacos</c> for
    /// the account "tacos"), so that the application starts without credentials. Those of an <see cref="ISparkflyAccountSource"/> have their own.
    /// </para>
    /// <para>A pipeline that is built without <see cref="IHttpClientFactory"/> is not reached: give it <see cref="FakeSparkfly.CreateHandler"/>.</para>
    /// </remarks>
    /// <example>
    /// <code>
    /// FakeSparkfly sparkfly = services.AddFakeSparkfly();
    /// sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[]}""");
    ///
    /// // With a clock that the test moves, and two accounts that the application gets from elsewhere.
    /// services.AddFakeSparkfly(sparkfly, new FakeTimeProvider(), "tacos", "bagels");
    /// </code>
    /// </example>
    /// <param name="services">The application's services.</param>
    /// <param name="sparkfly">The fake; several applications may share one. <see langword="null"/> for the one that is there already, else a new one.</param>
    /// <param name="timeProvider">The clock of the application and of its tokens; <see langword="null"/> for the container's.</param>
    /// <param name="accounts">Names of accounts to register, for clients and requests that use them; what else is registered for them holds too.</param>
    /// <returns>The fake, which is a singleton of the container too.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="services"/>, <paramref name="accounts"/> or a name is <see langword="null"/>.</exception>
    public static FakeSparkfly AddFakeSparkfly(
        this IServiceCollection services, FakeSparkfly? sparkfly = null, TimeProvider? timeProvider = null, params string[] accounts)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(accounts);
        if (timeProvider is not null)
        {
            services.RemoveAll<TimeProvider>();
            services.AddSingleton(timeProvider);
        }

        foreach (string account in accounts)
        {
            services.AddSparkflyAuth(account, static _ => { });
        }

        sparkfly ??= services.Select(static d => d.IsKeyedService ? null : d.ImplementationInstance as FakeSparkfly).LastOrDefault(static f => f is not null)
            ?? new FakeSparkfly();
        services.RemoveAll<FakeSparkfly>();
        services.AddSingleton(sparkfly);
        if (!services.Any(static d => !d.IsKeyedService && d.ImplementationType == typeof(FakeSparkflyFilter)))
        {
            // First of all, so that it is the outermost filter, which sees what all others have done.
            services.Insert(0, ServiceDescriptor.Singleton<IHttpMessageHandlerBuilderFilter, FakeSparkflyFilter>());
            services.AddSingleton<FakeAccounts>();
            services.AddSingleton<IPostConfigureOptions<SparkflyAuthOptions>>(static provider => provider.GetRequiredService<FakeAccounts>());
            services.AddSingleton<IValidateOptions<SparkflyAuthOptions>>(static provider => provider.GetRequiredService<FakeAccounts>());
        }

        return sparkfly;
    }
}
