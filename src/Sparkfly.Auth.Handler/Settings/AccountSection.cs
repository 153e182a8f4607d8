using Microsoft.Extensions.Configuration;

namespace Sparkfly.Auth.Handler;

/// <summary>The configuration section that an account's options are bound to, for messages. No message repeats a value.</summary>
internal sealed class AccountSection(IConfigurationSection section)
{
    private static readonly HashSet<string> s_options =
        typeof(SparkflyAuthOptions).GetProperties().Select(static p => p.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);

    public string Path => section.Path;

    public bool Exists => section.Exists();

    /// <summary>The configuration key of an option, such as <c>Sparkfly:Key</c>.</summary>
    public string KeyOf(string option) => ConfigurationPath.Combine(section.Path, option);

    /// <summary>The keys of values that are no options. A section in the section is not looked into: it may be another account's.</summary>
    public IEnumerable<string> UnknownKeys() =>
        section.GetChildren().Where(static c => c.Value is not null && !s_options.Contains(c.Key)).Select(static c => c.Path);
}
