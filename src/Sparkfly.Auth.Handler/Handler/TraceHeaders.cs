using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>Gives each message on the wire trace headers of its own, as the platform does where it follows redirects itself.</summary>
/// <remarks>
/// The platform adds trace headers to the message, and never replaces those that it finds. With its redirects turned off it does not remove its
/// own either, so the next send of the same message would repeat them.
/// </remarks>
internal static class TraceHeaders
{
    // Never starts an activity. A listener to the platform's source listens to this one too, since both have the same name.
    private static readonly ActivitySource s_platform = new("System.Net.Http");

    // Until .NET 9 the platform removes the caller's own from a redirect hop even where its listeners want no activity.
    private static readonly bool s_isRemovedForAnyListener = Environment.Version.Major < 10;

    /// <summary>Removes what the platform has added since the message had <paramref name="count"/> headers; keeps what the caller set.</summary>
    public static void RemoveAdded(HttpRequestMessage request, int count, IReadOnlyCollection<string> fields)
    {
        // The number first: to look for absent headers takes longer than the rest of a send.
        if (request.Headers.NonValidated.Count <= count)
        {
            return;
        }

        // Headers are enumerated in the order in which they were added.
        List<string> added = [.. request.Headers.NonValidated.Skip(count).Select(static h => h.Key)];
        foreach (string header in added)
        {
            if (fields.Contains(header, StringComparer.OrdinalIgnoreCase))
            {
                request.Headers.Remove(header);
            }
        }
    }

    /// <summary>Removes the caller's own before a further send, where the platform will add others, or would remove them too.</summary>
    public static void RemoveForNextSend(HttpRequestMessage request, IReadOnlyCollection<string> fields, bool isRedirect)
    {
        string[] own = [.. fields.Where(field => request.Headers.NonValidated.Contains(field))];
        bool isRemoved = isRedirect && s_isRemovedForAnyListener && s_platform.HasListeners();
        if (own.Length > 0 && (isRemoved || WillBeAdded()))
        {
            foreach (string field in own)
            {
                request.Headers.Remove(field);
            }
        }
    }

    // The platform adds them where it has an activity, or a listener that wants one.
    private static bool WillBeAdded()
    {
        if (Activity.Current is not null)
        {
            return true;
        }

        using Activity? wanted = s_platform.CreateActivity("System.Net.Http.HttpRequestOut", ActivityKind.Client);
        return wanted is not null;
    }
}
