namespace Sparkfly.Auth.Handler.Testing;

/// <summary>An address for people: short, and without values of the query that are secrets by their name.</summary>
internal static class SafeAddress
{
    private const int Longest = 200;

    private static readonly string[] s_secrets = ["auth", "credential", "identity", "key", "pass", "secret", "sig", "token"];

    public static string Of(string path, string query)
    {
        string text = path + string.Join('&', query.Split('&').Select(static pair =>
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            return equals >= 0 && s_secrets.Any(s => pair.AsSpan(0, equals).Contains(s, StringComparison.OrdinalIgnoreCase)) ? $"{pair[..equals]}=…" : pair;
        }));
        return text.Length <= Longest ? text : $"{text[..Longest]}…";
    }
}
