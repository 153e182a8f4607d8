using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>The platform's rules for redirects, for primary handlers whose redirects are turned off.</summary>
/// <remarks>
/// RFC 9110, section 15.4, and the behaviour of <see cref="SocketsHttpHandler"/>: a POST becomes a GET on 300, 301 and 302, everything but
/// GET and HEAD on 303; <c>Authorization</c> is dropped; https does not lead to http; a fragment is inherited.
/// </remarks>
internal static class Redirects
{
    public static bool IsRedirect(HttpStatusCode status) => status
        is HttpStatusCode.MultipleChoices
        or HttpStatusCode.MovedPermanently
        or HttpStatusCode.Found
        or HttpStatusCode.SeeOther
        or HttpStatusCode.TemporaryRedirect
        or HttpStatusCode.PermanentRedirect;

    /// <summary>The target of a redirect; null if it is not followed.</summary>
    public static Uri? Target(Uri asked, HttpResponseMessage response)
    {
        if (!IsRedirect(response.StatusCode) || response.Headers.Location is not { } location)
        {
            return null;
        }

        var target = new Uri(asked, location);
        bool isFollowed = target.Scheme == Uri.UriSchemeHttps || (target.Scheme == Uri.UriSchemeHttp && asked.Scheme == Uri.UriSchemeHttp);
        return !isFollowed ? null
            : target.Fragment.Length == 0 && asked.Fragment.Length > 0 ? new UriBuilder(target) { Fragment = asked.Fragment }.Uri
            : target;
    }

    /// <summary>Whether the redirect turns the request into a GET without a body.</summary>
    public static bool BecomesGet(HttpStatusCode status, HttpMethod method) => status switch
    {
        HttpStatusCode.MultipleChoices or HttpStatusCode.MovedPermanently or HttpStatusCode.Found => method == HttpMethod.Post,
        HttpStatusCode.SeeOther => method != HttpMethod.Get && method != HttpMethod.Head,
        _ => false,
    };

    /// <summary>Turns the message into that of the next hop.</summary>
    public static void Apply(HttpRequestMessage request, HttpStatusCode status, Uri target)
    {
        request.Headers.Authorization = null;
        request.RequestUri = target;
        if (BecomesGet(status, request.Method))
        {
            request.Method = HttpMethod.Get;
            request.Content = null;
            if (request.Headers.TransferEncodingChunked == true)
            {
                request.Headers.TransferEncodingChunked = false;
            }
        }
    }
}
