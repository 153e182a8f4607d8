using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Lists everything that is wrong with an account's options, by the configuration key where they come from a section, and repeats no value: it may be a
/// secret.
/// </summary>
internal sealed class SparkflyAuthOptionsValidator(AccountSections sections) : IValidateOptions<SparkflyAuthOptions>
{
    private static readonly TimeSpan s_oneDay = TimeSpan.FromDays(1);

    public ValidateOptionsResult Validate(string? name, SparkflyAuthOptions options)
    {
        var problems = new List<string>();
        AccountSection? section = sections.Of(name ?? "").LastOrDefault();
        CheckAddress(nameof(options.BaseAddress), options.BaseAddress, options.AllowHttp);
        if (options.AuthEndpoint is not null)
        {
            CheckAddress(nameof(options.AuthEndpoint), options.AuthEndpoint, options.AllowHttp);
        }

        CheckHeader(nameof(options.Identity), options.Identity, isRequired: true);
        CheckHeader(nameof(options.Key), options.Key, isRequired: true);
        CheckHeader(nameof(options.Scope), options.Scope, isRequired: false);
        CheckHeader(nameof(options.ForwardedFor), options.ForwardedFor, isRequired: false);

        CheckMoreThanZero(nameof(options.TokenLifetime), options.TokenLifetime);
        CheckAtMostADay(nameof(options.TokenLifetime), options.TokenLifetime);
        CheckNotNegative(nameof(options.ExpirationMargin), options.ExpirationMargin);
        if (options.ExpirationMargin >= options.TokenLifetime)
        {
            Add(nameof(options.ExpirationMargin), $"must be shorter than {nameof(options.TokenLifetime)}, or no token is ever used");
        }

        CheckNotNegative(nameof(options.RefreshAhead), options.RefreshAhead);
        CheckMoreThanZero(nameof(options.AuthTimeout), options.AuthTimeout);
        CheckAtMostADay(nameof(options.AuthTimeout), options.AuthTimeout);
        CheckNotNegative(nameof(options.UnauthorizedRefreshInterval), options.UnauthorizedRefreshInterval);
        CheckMoreThanZero(nameof(options.MinFailureBackoff), options.MinFailureBackoff);
        CheckAtMostADay(nameof(options.MaxFailureBackoff), options.MaxFailureBackoff);
        if (options.MaxFailureBackoff < options.MinFailureBackoff)
        {
            Add(nameof(options.MaxFailureBackoff), $"must not be shorter than {nameof(options.MinFailureBackoff)}");
        }

        CheckMoreThanZero(nameof(options.DistributedCacheTimeout), options.DistributedCacheTimeout);
        CheckAtMostADay(nameof(options.DistributedCacheTimeout), options.DistributedCacheTimeout);
        if (options.MaxReplayBodySize < 0 || options.MaxReplayBodySize > Array.MaxLength)
        {
            Add(nameof(options.MaxReplayBodySize), $"must be from 0 to {Array.MaxLength} bytes");
        }

        if (problems.Count > 0 && section is { Exists: false })
        {
            problems.Insert(0, $"The configuration section {section.Path} does not exist.");
        }

        return problems.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);

        void Add(string setting, string problem) => problems.Add(
            section is not null ? $"{section.KeyOf(setting)} {problem}."
            : string.IsNullOrEmpty(name) ? $"Sparkfly {setting} {problem}."
            : $"{AccountName.Label(name)}: {setting} {problem}.");

        void CheckAddress(string setting, Uri? address, bool allowHttp)
        {
            if (address is not { IsAbsoluteUri: true } || (address.Scheme != Uri.UriSchemeHttps && address.Scheme != Uri.UriSchemeHttp))
            {
                Add(setting, "must be an absolute https address");
                return;
            }

            if (address.UserInfo.Length > 0 || address.Query.Length > 0 || address.Fragment.Length > 0)
            {
                Add(setting, "must have no user info, query or fragment");
            }

            if (address.Scheme == Uri.UriSchemeHttp && !allowHttp && !IsThisMachine(address))
            {
                Add(setting, $"must be https; plain http is for localhost and loopback addresses, or anywhere with {nameof(options.AllowHttp)}");
            }
        }

        void CheckHeader(string setting, string? value, bool isRequired)
        {
            if (string.IsNullOrWhiteSpace(value))
            {
                if (isRequired)
                {
                    Add(setting, "is required");
                }
            }
            else if (!HeaderText.IsValue(value))
            {
                Add(setting, "is not a valid header value: use ASCII characters only, no line breaks or control characters, and no white space at either end");
            }
        }

        void CheckMoreThanZero(string setting, TimeSpan value)
        {
            if (value <= TimeSpan.Zero)
            {
                Add(setting, "must be more than zero");
            }
        }

        void CheckNotNegative(string setting, TimeSpan value)
        {
            if (value < TimeSpan.Zero)
            {
                Add(setting, "must not be negative");
            }
        }

        void CheckAtMostADay(string setting, TimeSpan value)
        {
            if (value > s_oneDay)
            {
                Add(setting, "must be at most one day, which is written 1.00:00:00; 24:00:00 is read as 24 days, and a number alone counts days: 30 is 30 days, and 00:00:30 is 30 seconds");
            }
        }
    }

    // Uri treats the name "loopback" as localhost. Everywhere else it is an ordinary host name.
    // By the normalized address, since before .NET 9 IsLoopback is false for names in upper case.
    private static bool IsThisMachine(Uri address) =>
        new Uri(address.AbsoluteUri).IsLoopback && !address.OriginalString.AsSpan(address.OriginalString.IndexOf("//", StringComparison.Ordinal) + 2)
            .StartsWith("loopback", StringComparison.OrdinalIgnoreCase);
}
