using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Does what the platform does with a cookie container, for primary handlers whose cookies are turned off. A client that calls Sparkfly may call other
/// hosts too; with <c>ConfigureHttpClientDefaults</c> that is every client of an application.
/// </summary>
internal static class Cookies
{
    private const string CookieHeader = "Cookie";

    /// <summary>Adds the container's cookies for the address to the caller's own.</summary>
    /// <returns>The caller's own, for <see cref="Restore"/>; null if there are none.</returns>
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

    /// <summary>Sets the message's cookies to the caller's own.</summary>
    public static void Restore(HttpRequestMessage request, string? own)
    {
        request.Headers.Remove(CookieHeader);
        if (own is not null)
        {
            request.Headers.TryAddWithoutValidation(CookieHeader, own);
        }
    }

    /// <summary>Keeps the cookies of a response.</summary>
    public static void Keep(HttpResponseMessage response, Uri uri, CookieContainer cookies)
    {
        // Empty where there is none.
        _ = response.Headers.NonValidated.TryGetValues("Set-Cookie", out var values);
        foreach (string value in values)
        {
            try
            {
                cookies.SetCookies(uri, value);
            }
            catch (CookieException)
            {
                // The platform ignores a malformed cookie too.
            }
        }
    }
}
