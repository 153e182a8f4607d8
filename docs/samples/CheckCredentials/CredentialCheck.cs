using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Sparkfly.Auth.Handler;

namespace CheckCredentials;

/// <summary>Asks Sparkfly for a token once, and reports what happened. The report has no secret and no token.</summary>
public static class CredentialCheck
{
    /// <summary>Checks one account.</summary>
    /// <param name="configuration">The configuration of the application.</param>
    /// <param name="account">The name of the account; empty for the default one.</param>
    /// <param name="report">Where the report goes.</param>
    /// <returns>Whether Sparkfly gave a token.</returns>
    public static async Task<bool> RunAsync(IConfigurationRoot configuration, string account, TextWriter report)
    {
        string section = account.Length == 0 ? SparkflyAuthOptions.SectionName : $"{SparkflyAuthOptions.SectionName}:{account}";
        await ReportSourcesAsync(configuration, section, report);

        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(configuration);

        // Its warnings: a key that is no option, a token endpoint that is somewhere else. Errors are reported below.
        using var warnings = new WarningLog(report);
        services.AddLogging(logging => logging.AddProvider(warnings).AddFilter("Sparkfly.Auth.Handler", LogLevel.Warning));

        SparkflyAuthBuilder sparkfly = account.Length == 0 ? services.AddSparkflyAuth() : services.AddSparkflyAuth(account);
        sparkfly.ConfigureAuthClient(auth => auth.AddHttpMessageHandler(() => new ReportingHandler(report)));

        await using ServiceProvider provider = services.BuildServiceProvider();
        try
        {
            ISparkflyTokenProvider tokens = account.Length == 0
                ? provider.GetRequiredService<ISparkflyTokenProvider>()
                : provider.GetRequiredKeyedService<ISparkflyTokenProvider>(account);
            SparkflyToken token = await tokens.GetTokenAsync();
            await report.WriteLineAsync($"The credentials are right. This token is used until {token.ExpiresAt:u}.");
            return true;
        }
        catch (OptionsValidationException exception)
        {
            await report.WriteLineAsync("Nothing was asked. Correct the configuration:");
            foreach (string problem in exception.Failures)
            {
                await report.WriteLineAsync($"  {problem}");
            }

            await report.WriteLineAsync(
                $"Settings are read from appsettings.json in {Directory.GetCurrentDirectory()}, user secrets, and environment variables such as Sparkfly__Key.");
        }
        catch (InvalidOperationException exception)
        {
            // A value of another type: text for a time span, for example.
            await report.WriteLineAsync($"Nothing was asked. Correct the configuration: {exception.Message}");
        }
        catch (SparkflyAuthenticationException exception)
        {
            await report.WriteLineAsync(exception.Message);
            await report.WriteLineAsync(exception.IsTransient ? "Try again later." : "Trying again does not help: change the configuration first.");
        }

        return false;
    }

    // Which source has each setting, so that an old environment variable is found. Never the value.
    private static async Task ReportSourcesAsync(IConfigurationRoot configuration, string section, TextWriter report)
    {
        foreach (string setting in (string[])[nameof(SparkflyAuthOptions.BaseAddress), nameof(SparkflyAuthOptions.Identity), nameof(SparkflyAuthOptions.Key)])
        {
            IConfigurationProvider? source = configuration.Providers.LastOrDefault(p => p.TryGet($"{section}:{setting}", out _));
            await report.WriteLineAsync($"{section}:{setting} {(source is null ? "is not set" : $"comes from {source}")}.");
        }
    }
}
