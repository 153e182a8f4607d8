namespace Sparkfly.Auth.Handler;

/// <summary>A response that is not valid HTTP.</summary>
internal static class InvalidResponse
{
    /// <summary>The exception in place of the platform's, whose message repeats the malformed line of the response. That line may hold the token.</summary>
    public static HttpRequestException WithoutText() => new(HttpRequestError.InvalidResponse, "The response was not valid HTTP.");
}
