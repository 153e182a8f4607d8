using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler;

/// <summary>Where each secret that is in use may go. Thread-safe; forgets a secret with the string that holds it.</summary>
/// <remarks>
/// By the string object, not its text: a header's value is stored and copied by reference, also into the copy that a handler in between
/// makes of a message to follow a redirect by itself. So the innermost handler can tell whose token it sees without anything being stored
/// on the message, and nothing has to be cleaned up.
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

    /// <summary>Whether the secret may go there; null where it is not one of ours.</summary>
    public static bool? MayGo(string secret, Uri? uri)
    {
        if (!s_origins.TryGetValue(secret, out Origin[]? origins))
        {
            return null;
        }

        foreach (Origin origin in origins)
        {
            if (origin.Matches(uri))
            {
                return true;
            }
        }

        return false;
    }
}
