using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// What the platform does with a cookie container, for the handlers whose cookies we have turned off: a client that calls Sparkfly may call
/// others too, and with <c>ConfigureHttpClientDefaults</c> every client of an application is one that may call Sparkfly.
/// </summary>
internal static class Cookies
{
    private const string CookieHeader = "Cookie";

    /// <summary>Puts the container's cookies for the address beside the caller's own.</summary>
    /// <returns>The caller's own, for <see cref="Restore"/>; null where it has none.</returns>
    public static string? Add(HttpRequestMessage request, CookieContainer cookies)
    {
        string? own = request.Headers.NonValidated.TryGetValues(CookieHeader, out var values) ? string.Join("; ", values) : null;
        string kept = cookies.GetCookieHeader(request.RequestUri!);
        if (kept.Length > 0)
        {
            Restore(request, own is null ? kept : $"{own}; {kept}");
        }

        return own;
    }

    /// <summary>Makes the message's cookies these.</summary>
    public static void Restore(HttpRequestMessage request, string? own)
    {
        request.Headers.Remove(CookieHeader);
        if (own is not null)
        {
            request.Headers.TryAddWithoutValidation(CookieHeader, own);
        }
    }

    /// <summary>Keeps what an answer sets.</summary>
    public static void Keep(HttpResponseMessage response, Uri uri, CookieContainer cookies)
    {
        if (!response.Headers.NonValidated.TryGetValues("Set-Cookie", out var values))
        {
            return;
        }

        foreach (string value in values)
        {
            try
            {
                cookies.SetCookies(uri, value);
            }
            catch (CookieException)
            {
                // A cookie that is none is ignored, as the platform does.
            }
        }
    }
}
