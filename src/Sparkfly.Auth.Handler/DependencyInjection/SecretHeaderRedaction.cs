using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Keeps credentials and tokens out of the log of every client that <see cref="IHttpClientFactory"/> makes. The factory logs headers at
/// <c>Trace</c>; by default it shows no value, but <c>RedactLoggedHeaders</c>, on a client or in defaults, replaces that choice. So this
/// comes after all of them, and adds to what the application chose.
/// </summary>
internal sealed class SecretHeaderRedaction : IPostConfigureOptions<HttpClientFactoryOptions>
{
    public void PostConfigure(string? name, HttpClientFactoryOptions options)
    {
        Func<string, bool> chosen = options.ShouldRedactHeaderValue;
        options.ShouldRedactHeaderValue = header => HeaderText.IsSecret(header) || chosen(header);
    }
}
