namespace Sparkfly.Auth.Handler;

/// <summary>
/// Where an account's token comes from. Each source is wrapped round the next one: the memory cache round the fleet, the fleet round the token request.
/// Thread-safe.
/// </summary>
internal interface ITokenSource
{
    /// <summary>Gets a token. Throws nothing: a failure is a response too.</summary>
    /// <param name="request">What to ask for.</param>
    /// <param name="cancellationToken">Ends it with <see cref="TokenResponse.Disposed"/>.</param>
    Task<TokenResponse> ObtainAsync(TokenRequest request, CancellationToken cancellationToken);
}
