using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Credentials that a redirect's target does not get. The platform gives it none either, unless they are in a <see cref="CredentialCache"/>, where
/// each has its address.
/// </summary>
internal sealed class FirstHopCredentials(ICredentials credentials) : ICredentials
{
    private readonly AsyncLocal<bool> _isRedirected = new();

    /// <summary>Says whether what is sent next in this flow is the target of a redirect. To be set in an async method, where it cannot leak to the caller.</summary>
    public bool IsRedirected
    {
        set => _isRedirected.Value = value;
    }

    /// <inheritdoc/>
    public NetworkCredential? GetCredential(Uri uri, string authType) => _isRedirected.Value ? null : credentials.GetCredential(uri, authType);
}
