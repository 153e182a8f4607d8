using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// What a token request takes past the application's handlers, in its options: the credentials on the way out, the token on the way back. Both are
/// on the message only below them, see <see cref="TokenRequestHandler"/>.
/// </summary>
[DebuggerDisplay("{Endpoint}")]
internal sealed class TokenExchange(Uri endpoint, AccountSettings settings)
{
    public static readonly HttpRequestOptionsKey<TokenExchange> OptionsKey = new("Sparkfly.Auth.Handler.TokenExchange");

    public Uri Endpoint => endpoint;

    public AccountSettings Settings => settings;

    /// <summary>The values of <c>X-Auth-Token</c> in the last response; null where it had none.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public string[]? Token { get; set; }
}
