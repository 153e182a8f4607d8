namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The names that Sparkfly's API uses on the wire.</summary>
/// <remarks>Source: Sparkfly's AuthenticationApi description.</remarks>
internal static class Wire
{
    public const string Token = "X-Auth-Token";
    public const string Identity = "X-Auth-Identity";
    public const string Key = "X-Auth-Key";

    /// <summary>The only value of a request's header; null where there is none.</summary>
    public static string? Header(this HttpRequestMessage request, string name) =>
        request.Headers.NonValidated.TryGetValues(name, out System.Net.Http.Headers.HeaderStringValues values) ? values.ToString() : null;
}
