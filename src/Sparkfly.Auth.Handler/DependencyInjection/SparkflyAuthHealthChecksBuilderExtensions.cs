using Microsoft.Extensions.Diagnostics.HealthChecks;
using Sparkfly.Auth.Handler;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers health checks of Sparkfly accounts.</summary>
public static class SparkflyAuthHealthChecksBuilderExtensions
{
    /// <summary>
    /// Adds a health check of a Sparkfly account: healthy with a token, degraded with a usable token that cannot be renewed, else unhealthy
    /// (<paramref name="failureStatus"/>).
    /// </summary>
    /// <remarks>
    /// <para>
    /// The check asks the account's <see cref="ISparkflyTokenProvider"/> for the token, as a request does. It costs no token request while a token is
    /// cached, waits for one otherwise, starts a renewal that is due, and honours the backoff after a failure. It does not call the API.
    /// </para>
    /// <para>
    /// The result's data has <c>account</c>, <c>usedUntil</c> and, after a failure, <c>reason</c>, <c>failingSince</c>, <c>failures</c> and
    /// <c>nextAttempt</c>; no secret. With a provider of the application's own the check is healthy or unhealthy, because such a provider does not tell
    /// of failed renewals.
    /// </para>
    /// <para>If the account is not registered, the host does not start, and the exception names the account.</para>
    /// </remarks>
    /// <example>
    /// <code>builder.Services.AddHealthChecks().AddSparkflyAuth();</code>
    /// </example>
    /// <param name="builder">The health checks to add it to.</param>
    /// <param name="account">The account's name, as registered with <c>AddSparkflyAuth</c>; empty for the default account.</param>
    /// <param name="name">The check's name. Default: <c>sparkfly</c>, or <c>sparkfly:</c> and the account's name.</param>
    /// <param name="failureStatus">The status without a token. Default: <see cref="HealthStatus.Unhealthy"/>.</param>
    /// <param name="tags">Tags to filter checks by.</param>
    /// <param name="timeout">
    /// How long the check waits for a token. Default: as long as the token request takes, which <see cref="SparkflyAuthOptions.AuthTimeout"/> limits.
    /// It ends the wait, not the token request.
    /// </param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="builder"/> or <paramref name="account"/> is <see langword="null"/>.</exception>
    public static IHealthChecksBuilder AddSparkflyAuth(
        this IHealthChecksBuilder builder,
        string account = "",
        string? name = null,
        HealthStatus? failureStatus = null,
        IEnumerable<string>? tags = null,
        TimeSpan? timeout = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(account);
        name ??= account.Length == 0 ? "sparkfly" : $"sparkfly:{account}";
        SparkflyServices.AddCoreOfClients(builder.Services);
        StartupChecks.AddAccountCheck(builder.Services, $"The health check '{name}'", account);
        return builder.Add(new HealthCheckRegistration(
            name, services => new SparkflyAuthHealthCheck(services.GetRequiredService<SparkflyAccounts>(), account), failureStatus, tags, timeout));
    }
}
