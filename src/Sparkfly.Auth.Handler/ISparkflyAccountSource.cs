namespace Sparkfly.Auth.Handler;

/// <summary>
/// Finds the Sparkfly accounts that are not registered by name, such as an application's tenants in its database. Registered with
/// <c>AddSparkflyAccountSource</c>.
/// </summary>
/// <remarks>
/// <para>
/// Created in a scope of its own for each lookup, so it may use scoped services such as a <c>DbContext</c>. It sees nothing of the request that caused
/// the lookup, because the result serves other requests too.
/// </para>
/// <para>
/// One lookup at a time runs for each name. A found account is looked up again in the background after four minutes, so changes take effect within
/// five. If that lookup fails, or the options are invalid, the account stays as it is. An unknown name is looked up again by the next request that
/// names it. An account that is not used for an hour is dropped.
/// </para>
/// </remarks>
public interface ISparkflyAccountSource
{
    /// <summary>Finds an account.</summary>
    /// <param name="name">The name that a request, or a client's handler, has for it; never one that is registered.</param>
    /// <param name="cancellationToken">Cancelled after 30 seconds, and when the service provider is disposed.</param>
    /// <returns>
    /// The account's options, which are validated and copied; <see langword="null"/> if there is no such account. The request then fails with an
    /// <see cref="InvalidOperationException"/>.
    /// </returns>
    /// <exception cref="Exception">
    /// Becomes the inner exception of the <see cref="SparkflyAuthenticationException"/> of each request that waits.
    /// </exception>
    ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken);
}
