using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The innermost handler of a pipeline, below everything that may send a message elsewhere: a secret of ours that is about to leave for
/// another origin than its own is taken off.
/// </summary>
/// <param name="headers">The headers that carry secrets in this pipeline.</param>
/// <param name="isHome">
/// Whether an address is the pipeline's own Sparkfly: what decides where a header's value is not known to be ours, since a handler in between
/// has made a new string of it.
/// </param>
/// <param name="logger">Is told what was taken off, and where it would have gone.</param>
internal sealed class OriginGuardHandler(string[] headers, Func<Uri?, bool> isHome, ILogger logger) : DelegatingHandler
{
    /// <summary>Marks a request to another origin whose caller had put a header of that name on it: that one is none of our business.</summary>
    public static HttpRequestOptionsKey<bool> HasCallersOwnToken { get; } = new("Sparkfly.HasCallersOwnToken");

    /// <inheritdoc/>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Guard(request);
        return base.SendAsync(request, cancellationToken);
    }

    /// <inheritdoc/>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Guard(request);
        return base.Send(request, cancellationToken);
    }

    private void Guard(HttpRequestMessage request)
    {
        foreach (string header in headers)
        {
            if (request.Headers.NonValidated.TryGetValues(header, out var values) && !MayLeave(values.ToString(), request))
            {
                request.Headers.Remove(header);
                Log.SecretTakenOff(logger, Origin.Of(request.RequestUri));
            }
        }
    }

    private bool MayLeave(string value, HttpRequestMessage request) =>
        SecretOrigins.MayGo(value, request.RequestUri) ??
        (isHome(request.RequestUri) || request.Options.TryGetValue(HasCallersOwnToken, out bool isOwn) && isOwn);
}
