using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler;

/// <summary>Where each secret that is in use may go. Thread-safe; forgets a secret with the string that holds it.</summary>
/// <remarks>
/// Looked up by the string object: a header's value is stored and copied by reference, also into the copy that a handler in between makes of a
/// message. Where a handler has made a new string of it, all secrets are compared with it. So the innermost handler can tell whose token it
/// sees without anything being stored on the message, and nothing has to be cleaned up.
/// </remarks>
internal static class SecretOrigins
{
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private static readonly ConditionalWeakTable<string, Origin[]> s_origins = new();

    /// <summary>Lets the secret go to this origin too; two names of one account may have different base addresses.</summary>
    public static void Register(string secret, Origin origin)
    {
        lock (s_origins)
        {
            if (!s_origins.TryGetValue(secret, out Origin[]? origins) || !origins.Contains(origin))
            {
                s_origins.AddOrUpdate(secret, [.. origins ?? [], origin]);
            }
        }
    }

    /// <summary>Where a header's value may go; null where it is not a secret of ours, and goes anywhere.</summary>
    public static Origin[]? Of(string value)
    {
        if (s_origins.TryGetValue(value, out Origin[]? origins))
        {
            return origins;
        }

        foreach (KeyValuePair<string, Origin[]> secret in s_origins)
        {
            if (secret.Key == value)
            {
                return secret.Value;
            }
        }

        return null;
    }
}
