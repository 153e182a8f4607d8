using Microsoft.Extensions.Diagnostics.HealthChecks;
using Sparkfly.Auth.Handler;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers health checks of Sparkfly accounts.</summary>
public static class SparkflyAuthHealthChecksBuilderExtensions
{
    /// <summary>
    /// Adds a health check that tells whether a Sparkfly account has a token: healthy where one is held or was got just now, degraded while one
    /// is held that cannot be renewed, else unhealthy (<paramref name="failureStatus"/>).
    /// </summary>
    /// <remarks>
    /// <para>
    /// The check asks for the token as a request does, of the account's <see cref="ISparkflyTokenProvider"/>. So it costs no token request where a
    /// token is held, waits for one where none is, starts the renewal that is due, and keeps to the backoff after a failure. The API is not called.
    /// </para>
    /// <para>
    /// The result's data has <c>account</c>, <c>usedUntil</c> and, where something fails, <c>reason</c>, <c>failingSince</c>, <c>failures</c> and
    /// <c>nextAttempt</c>; no secret. A provider of the application's own cannot tell that a renewal fails while a token is held; then the check is
    /// healthy or unhealthy.
    /// </para>
    /// <para>An account that is not registered stops the host when it starts, and names itself.</para>
    /// </remarks>
    /// <param name="builder">The health checks to add it to.</param>
    /// <param name="account">The account's name, as registered with <c>AddSparkflyAuth</c>; empty for the default account.</param>
    /// <param name="name">The check's name. Default: <c>sparkfly</c>, or <c>sparkfly:</c> and the account's name.</param>
    /// <param name="failureStatus">What is reported where there is no token. Default: <see cref="HealthStatus.Unhealthy"/>.</param>
    /// <param name="tags">Tags to choose the check by.</param>
    /// <param name="timeout">
    /// How long the check waits for a token. Default: as long as the token request takes, which <see cref="SparkflyAuthOptions.AuthTimeout"/> bounds.
    /// It ends the check's wait, not the token request.
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
        builder.Services.AddSparkflyAuthCore();
        builder.Services.AddAccountCheck($"The health check '{name}'", account);
        return builder.Add(new HealthCheckRegistration(
            name, services => new SparkflyAuthHealthCheck(services.GetRequiredService<SparkflyAccounts>(), account), failureStatus, tags, timeout));
    }
}
