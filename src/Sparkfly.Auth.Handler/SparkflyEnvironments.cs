namespace Sparkfly.Auth.Handler;

/// <summary>The base addresses of Sparkfly's environments, for <see cref="SparkflyAuthOptions.BaseAddress"/>.</summary>
/// <remarks>
/// Source: the base URI of Sparkfly's AuthenticationApi description (staging) and the <c>servers</c> of its OpenAPI description (production).
/// </remarks>
public static class SparkflyEnvironments
{
    /// <summary>Gets the address of the staging environment, <c>https://api-staging.sparkfly.com/v1.0/</c>: the default.</summary>
    public static Uri Staging { get; } = new("https://api-staging.sparkfly.com/v1.0/");

    /// <summary>Gets the address of the production environment, <c>https://api.sparkfly.com/v1.0/</c>.</summary>
    public static Uri Production { get; } = new("https://api.sparkfly.com/v1.0/");
}
