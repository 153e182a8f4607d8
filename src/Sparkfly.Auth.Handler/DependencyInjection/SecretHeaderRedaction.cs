using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Keeps credentials and tokens out of the log of every client of <see cref="IHttpClientFactory"/>, whose headers are logged at <c>Trace</c>: those that
/// a caller sets itself, and those of the API's responses. Ours are never on a message that a logger sees.
/// </summary>
/// <remarks>A validator, since validators run after every configuration, <c>PostConfigure</c> of the application included.</remarks>
internal sealed class SecretHeaderRedaction : IValidateOptions<HttpClientFactoryOptions>
{
    public ValidateOptionsResult Validate(string? name, HttpClientFactoryOptions options)
    {
        Func<string, bool> chosen = options.ShouldRedactHeaderValue;
        options.ShouldRedactHeaderValue = header => HeaderText.IsSecret(header) || chosen(header);
        return ValidateOptionsResult.Skip;
    }
}
