using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>
/// Gives accounts the credentials that they lack, so that an application starts without, and tells the fake where each account's Sparkfly is.
/// </summary>
internal sealed class FakeAccounts(FakeSparkfly sparkfly) : IPostConfigureOptions<SparkflyAuthOptions>, IValidateOptions<SparkflyAuthOptions>
{
    public void PostConfigure(string? name, SparkflyAuthOptions options)
    {
        // A name may hold characters that are not valid in a header.
        string suffix = string.IsNullOrEmpty(name) ? "" : $"-{Uri.EscapeDataString(name)}";
        options.Identity = Or(options.Identity, $"fake-identity{suffix}");
        options.Key = Or(options.Key, $"fake-key{suffix}");

        static string? Or(string? value, string fake) => string.IsNullOrWhiteSpace(value) ? fake : value;
    }

    // Nothing to say, but a place to look: options are validated when nothing changes them any more.
    public ValidateOptionsResult Validate(string? name, SparkflyAuthOptions options)
    {
        if (options.BaseAddress is { IsAbsoluteUri: true } baseAddress)
        {
            sparkfly.Homes.Add(baseAddress, options.AuthEndpoint);
        }

        return ValidateOptionsResult.Skip;
    }
}
