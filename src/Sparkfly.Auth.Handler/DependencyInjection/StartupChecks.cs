using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>What is checked when the host starts, beside the platform's own checks of options.</summary>
internal static class StartupChecks
{
    /// <summary>
    /// An account's options are valid. They are remembered from then on: after an invalid reload before the first request there must be valid ones.
    /// </summary>
    public static void AddOptionsCheck(IServiceCollection services, string account) =>
        Add(services, $"account {account}", provider => provider.GetRequiredService<SparkflyAccounts>().GetRegistered(account));

    /// <summary>The account that a client or a health check asks for is registered.</summary>
    /// <param name="services">The services of the host.</param>
    /// <param name="user">What asks for the account, to begin the message with.</param>
    /// <param name="account">The account's name.</param>
    public static void AddAccountCheck(IServiceCollection services, string user, string account) =>
        Add(services, user, account, static (accounts, name) => accounts.WhyUnknown(name));

    /// <summary>There can be a handler of the account for a client.</summary>
    /// <inheritdoc cref="AddAccountCheck"/>
    public static void AddHandlerCheck(IServiceCollection services, string user, string account) =>
        Add(services, user, account, static (accounts, name) => accounts.WhyNoHandler(name));

    private static void Add(IServiceCollection services, string user, string account, Func<SparkflyAccounts, string, string?> check) =>
        Add(services, $"{user} {account}", provider =>
        {
            if (check(provider.GetRequiredService<SparkflyAccounts>(), account) is { } problem)
            {
                throw new OptionsValidationException(account, typeof(SparkflyAuthOptions), [$"{user} asks for an account: {problem}"]);
            }
        });

    private static void Add(IServiceCollection services, string name, Action<IServiceProvider> check) =>
        services.AddOptions<StartupCheck>(name).Configure<IServiceProvider>((_, provider) => check(provider)).ValidateOnStart();

    /// <summary>Options without settings: making them is the check.</summary>
    private sealed class StartupCheck;
}
