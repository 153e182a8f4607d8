using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Where <c>/auth</c> was found, for each base address. Thread-safe.</summary>
/// <remarks>
/// Newer descriptions of the API have <c>/auth</c> at the root of the host, older ones under <c>/v1.0</c>. Source: Sparkfly's OpenAPI descriptions of 2025.
/// </remarks>
internal sealed class AuthEndpoints(ILogger logger)
{
    private readonly ConcurrentDictionary<Uri, Uri> _atRoot = new();

    /// <summary>The address to ask first.</summary>
    public Uri For(AccountSettings settings) =>
        _atRoot.TryGetValue(settings.BaseAddress, out Uri? known) && known == settings.RootAuthEndpoint ? known : settings.AuthEndpoint;

    /// <summary>The other home of an endpoint that is not there; null where there is none.</summary>
    public static Uri? Other(Uri asked, AccountSettings settings) => asked == settings.RootAuthEndpoint ? settings.AuthEndpoint : settings.RootAuthEndpoint;

    /// <summary>Keeps to the home that has given a token, while the base address is unchanged.</summary>
    public void Remember(Uri home, AccountSettings settings)
    {
        if (home != settings.RootAuthEndpoint)
        {
            _atRoot.TryRemove(settings.BaseAddress, out _);
        }
        else if (_atRoot.TryAdd(settings.BaseAddress, home))
        {
            Log.AuthEndpointAtRoot(logger, settings.BaseAddress, home);
        }
    }
}
