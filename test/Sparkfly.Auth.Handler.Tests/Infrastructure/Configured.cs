using System.Text;
using Microsoft.Extensions.Configuration;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Configurations to read accounts from.</summary>
internal static class Configured
{
    public static IConfigurationRoot FromJson(string json) =>
        new ConfigurationBuilder().AddJsonStream(new MemoryStream(Encoding.UTF8.GetBytes(json))).Build();

    /// <summary>One that a test changes by key, and then reloads.</summary>
    public static IConfigurationRoot From(params (string Key, string? Value)[] values) =>
        new ConfigurationBuilder().AddInMemoryCollection(values.ToDictionary(static v => v.Key, static v => v.Value)).Build();

    /// <summary>One whose section "Sparkfly" is the server's account.</summary>
    public static IConfigurationRoot For(StandInServer server) => From(
        ("Sparkfly:BaseAddress", server.BaseAddress.AbsoluteUri),
        ("Sparkfly:Identity", server.Options.Identity),
        ("Sparkfly:Key", server.Options.Key));

    /// <summary>The validator of options that come from no section.</summary>
    public static SparkflyAuthOptionsValidator NewValidator() => new(new AccountSections(Array.Empty<AccountSection>().ToLookup(static _ => "")));
}
