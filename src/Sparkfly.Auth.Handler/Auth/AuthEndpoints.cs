using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Where <c>/auth</c> was found, for each base address. Thread-safe.</summary>
/// <remarks>
/// Sparkfly's OpenAPI descriptions of 2025 have <c>/auth</c> at the root of the host. A page that was generated from one has it under <c>/v1.0</c>.
/// </remarks>
internal sealed class AuthEndpoints(ILogger logger)
{
    // The homes that have given a token.
    private readonly ConcurrentDictionary<Uri, Uri> _found = new();

    /// <summary>The address to ask first.</summary>
    public Uri For(AccountSettings settings) => Found(settings) ?? settings.AuthEndpoint;

    /// <summary>The other home, where the failure says that this may not be the right one; null where it is not to be asked.</summary>
    /// <remarks>A wall in front of Sparkfly's routes answers 401 or 403 to an address that is not there. Elsewhere that means the credentials.</remarks>
    public Uri? OtherAfter(AuthFailure? failure, Uri asked, AccountSettings settings)
    {
        bool mayBeElsewhere = failure is { } &&
            (failure.IsNotThere || (failure.IsRejection && Found(settings) is null && Origin.IsSparkflys(settings.BaseAddress)));
        return !mayBeElsewhere ? null : asked == settings.RootAuthEndpoint ? settings.AuthEndpoint : settings.RootAuthEndpoint;
    }

    /// <summary>Keeps to the home that has given a token, while the base address is unchanged.</summary>
    public void Remember(Uri home, AccountSettings settings)
    {
        if (settings.RootAuthEndpoint is not { } root || Found(settings) == home)
        {
            return;
        }

        _found[settings.BaseAddress] = home;
        if (home == root)
        {
            Log.AuthEndpointAtRoot(logger, settings.BaseAddress, home);
        }
    }

    private Uri? Found(AccountSettings settings) => settings.RootAuthEndpoint is not null ? _found.GetValueOrDefault(settings.BaseAddress) : null;
}
