namespace Sparkfly.Auth.Handler;

/// <summary>Keys of <see cref="HttpRequestMessage.Options"/> that the handler reads.</summary>
public static class SparkflyRequestOptions
{
    /// <summary>
    /// Gets the key <c>"Sparkfly.Account"</c>: the name of the account whose token this one request uses. The empty name is the default
    /// account. Without it the client's own account is used.
    /// </summary>
    /// <remarks>
    /// <c>request.SetSparkflyAccount(name)</c> sets it; so does Refit's <c>[Property("Sparkfly.Account")]</c> on a parameter.
    /// </remarks>
    public static HttpRequestOptionsKey<string> Account { get; } = new("Sparkfly.Account");
}
