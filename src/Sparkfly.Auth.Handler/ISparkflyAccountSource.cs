namespace Sparkfly.Auth.Handler;

/// <summary>
/// Finds the Sparkfly accounts that are not registered by name: an application's tenants, in its database say. Registered with
/// <c>AddSparkflyAccountSource</c>.
/// </summary>
/// <remarks>
/// <para>
/// Made in a scope of its own for each question, so that it may use scoped services, a <c>DbContext</c> above all; it sees nothing of the request
/// that caused the question, whose answer serves others too.
/// </para>
/// <para>
/// A name is asked for once however many requests wait for the answer. A found account is kept, and asked for again in the background after four
/// minutes, so that changes are taken up within five; where that fails, or its options are invalid, the account goes on as it is. A name that is
/// unknown is asked for again by the next request that has it. What is not used for an hour is let go.
/// </para>
/// </remarks>
public interface ISparkflyAccountSource
{
    /// <summary>Finds an account.</summary>
    /// <param name="name">The name that a request, or a client's handler, has for it; never one that is registered.</param>
    /// <param name="cancellationToken">Ends the question: after 30 seconds, or with the service provider.</param>
    /// <returns>
    /// The account's options, which are validated and copied; <see langword="null"/> where there is no such account, which the request is told by
    /// an <see cref="InvalidOperationException"/>.
    /// </returns>
    /// <exception cref="Exception">
    /// Whatever it fails with becomes the inner exception of the <see cref="SparkflyAuthenticationException"/> of each request that waits.
    /// </exception>
    ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken);
}
