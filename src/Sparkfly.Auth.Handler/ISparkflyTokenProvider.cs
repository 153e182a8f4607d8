namespace Sparkfly.Auth.Handler;

/// <summary>
/// Gives the token of one Sparkfly account. The handler takes its tokens from it, so an application or a test can replace it.
/// </summary>
/// <remarks>
/// A singleton for the default account; for a named account, keyed by the account's name
/// (<c>[FromKeyedServices("name")] ISparkflyTokenProvider</c>). Implementations are thread-safe.
/// </remarks>
/// <example>
/// <code>
/// SparkflyToken token = await provider.GetTokenAsync(cancellationToken);
/// request.Headers.Add("X-Auth-Token", token.Value); // for a call that no HttpClient with the handler makes
/// </code>
/// </example>
public interface ISparkflyTokenProvider
{
    /// <summary>Gets the token to use now. Asks Sparkfly for one only if no usable token is cached.</summary>
    /// <param name="cancellationToken">Ends this wait alone; a token request that others wait for goes on.</param>
    /// <returns>The token. Completed at once if one is cached.</returns>
    /// <exception cref="SparkflyAuthenticationException">There is no token, and none can be had now.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The service provider was disposed.</exception>
    ValueTask<SparkflyToken> GetTokenAsync(CancellationToken cancellationToken = default);

    /// <summary>Gets the token to use in place of one that the API rejected with 401.</summary>
    /// <param name="rejected">The token that the API rejected.</param>
    /// <param name="cancellationToken">Ends this wait alone; a token request that others wait for goes on.</param>
    /// <returns>
    /// A token obtained since <paramref name="rejected"/> was; or <paramref name="rejected"/> itself where a renewal is not allowed now
    /// (<see cref="SparkflyAuthOptions.UnauthorizedRefreshInterval"/>).
    /// </returns>
    /// <exception cref="ArgumentNullException"><paramref name="rejected"/> is <see langword="null"/>.</exception>
    /// <exception cref="SparkflyAuthenticationException">The renewal failed.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The service provider was disposed.</exception>
    ValueTask<SparkflyToken> RenewTokenAsync(SparkflyToken rejected, CancellationToken cancellationToken = default);
}
