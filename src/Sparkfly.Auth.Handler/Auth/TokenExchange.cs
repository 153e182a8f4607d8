using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// What a token request takes past the application's handlers, in its options: the credentials on the way out, the token on the way back. Both are
/// on the message only below them, see <see cref="TokenRequestHandler"/>.
/// </summary>
[DebuggerDisplay("{Endpoint}")]
internal sealed class TokenExchange(Uri endpoint, TokenRequest request)
{
    public static readonly HttpRequestOptionsKey<TokenExchange> OptionsKey = new("Sparkfly.Auth.Handler.TokenExchange");

    // A response with more brings no good token, and the search for each of them would take long: nothing of it is shown.
    private const int MostTokens = 16;

    // Internal, not public, as a handler may print the message's options: serializers print what is public.
    internal Uri Endpoint => endpoint;

    internal AccountSettings Settings => request.Settings;

    /// <summary>The values of <c>X-Auth-Token</c> in the last response; null where it had none.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    internal string[]? Token { get; set; }

    /// <summary>Whether a text may be shown: it holds neither a credential nor a token, the one to be replaced and the new one included.</summary>
    internal bool MayShow(string text)
    {
        string[] tokens = [.. Tokens().Distinct().Take(MostTokens + 1)];
        return tokens.Length <= MostTokens && !SecretText.IsAnyIn(text, [Settings.Identity, Settings.Key, .. tokens]);
    }

    /// <summary>Each token that has come, also where one line has several.</summary>
    public static IEnumerable<string> Split(IEnumerable<string> values) =>
        values.SelectMany(static v => v.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));

    private IEnumerable<string> Tokens() => request.Replaced is { } replaced ? Split(Token ?? []).Append(replaced.Value) : Split(Token ?? []);
}
