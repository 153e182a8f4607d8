using System.Buffers;

namespace Sparkfly.Auth.Handler;

/// <summary>The names of the headers of Sparkfly's API, and what a header's value may be.</summary>
/// <remarks>Source of the names: Sparkfly's AuthenticationApi description.</remarks>
internal static class HeaderText
{
    public const string Token = "X-Auth-Token";
    public const string Identity = "X-Auth-Identity";
    public const string Key = "X-Auth-Key";
    public const string Scope = "X-Auth-Scope";
    public const string ForwardedFor = "X-Forwarded-For";

    private static readonly SearchValues<char> s_visible =
        SearchValues.Create([.. Enumerable.Range('!', '~' - '!' + 1).Select(static c => (char)c)]);

    private static readonly SearchValues<char> s_visibleOrSpace =
        SearchValues.Create([.. Enumerable.Range(' ', '~' - ' ' + 1).Select(static c => (char)c)]);

    /// <summary>Visible ASCII without white space.</summary>
    public static bool IsToken(string value) => !value.AsSpan().ContainsAnyExcept(s_visible);

    /// <summary>Visible ASCII and inner spaces. A receiver trims outer spaces, so they cannot be sent.</summary>
    public static bool IsValue(string value) =>
        !value.AsSpan().ContainsAnyExcept(s_visibleOrSpace) && value.AsSpan().Trim().Length == value.Length;

    /// <summary>Whether the header carries a credential or a token.</summary>
    public static bool IsSecret(string headerName) =>
        headerName.Equals(Token, StringComparison.OrdinalIgnoreCase) ||
        headerName.Equals(Key, StringComparison.OrdinalIgnoreCase) ||
        headerName.Equals(Identity, StringComparison.OrdinalIgnoreCase);
}
