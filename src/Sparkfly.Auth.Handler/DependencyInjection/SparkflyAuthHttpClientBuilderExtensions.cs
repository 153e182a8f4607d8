using Sparkfly.Auth.Handler;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds the Sparkfly handler to clients.</summary>
public static class SparkflyAuthHttpClientBuilderExtensions
{
    /// <summary>
    /// Attaches a Sparkfly account's token to the client's requests to Sparkfly, and gives the client the account's base address if it has none.
    /// </summary>
    /// <remarks>
    /// <para>
    /// The handler works directly above the primary handler, wherever this call stands among others. A client has one such handler: a repeated call
    /// changes nothing, and a client's own call replaces the handler from <c>ConfigureHttpClientDefaults</c>, which sets no base address. Requests to
    /// other hosts are not changed.
    /// </para>
    /// <para>If the account is not registered, the host does not start, and the exception names the account.</para>
    /// </remarks>
    /// <example>
    /// <code>
    /// builder.Services.AddSparkflyAuth();
    /// builder.Services.AddHttpClient&lt;OffersClient&gt;().AddSparkflyAuthHandler();
    /// </code>
    /// </example>
    /// <param name="builder">The client: named, typed, keyed, or Refit's.</param>
    /// <param name="account">The account's name, as registered with <c>AddSparkflyAuth</c>; empty for the default account.</param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    /// <exception cref="InvalidOperationException">The client has the handler of another account already.</exception>
    public static IHttpClientBuilder AddSparkflyAuthHandler(this IHttpClientBuilder builder, string account = "")
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(account);

        // Null in ConfigureHttpClientDefaults: all clients.
        string? client = builder.Name;
        IServiceCollection services = builder.Services;
        SparkflyServices.AddCoreOfClients(services);
        ClientRegistration? earlier = services.Select(static d => d.IsKeyedService ? null : d.ImplementationInstance)
            .OfType<ClientRegistration>().FirstOrDefault(c => c.Client == client);
        if (earlier is not null && earlier.Account != account)
        {
            throw new InvalidOperationException(
                $"{Describe(client)} has the handler of {Name(earlier.Account)} already, and a client has one. For single requests of another " +
                $"account use request.SetSparkflyAccount(\"{account}\").");
        }

        // Also a second time: the application may have cleared the handlers in between. The pipeline keeps the last one, see PipelineBuilder.
        builder.AddHttpMessageHandler(provider => SparkflyServices.NewHandler(provider, account));
        if (earlier is not null)
        {
            return builder;
        }

        services.AddSingleton(new ClientRegistration(client, account));
        StartupChecks.AddHandlerCheck(services, Describe(client), account);
        return client is null ? builder : builder.ConfigureHttpClient((provider, http) =>
            http.BaseAddress ??= provider.GetRequiredService<SparkflyAccounts>().GetRegistered(account)?.Settings.BaseAddress);
    }

    private static string Describe(string? client) => client is null ? "ConfigureHttpClientDefaults" : $"The client '{client}'";

    private static string Name(string account) => account.Length == 0 ? "the default account" : $"the account '{AccountName.Shown(account)}'";

    /// <summary>That a client has the handler of an account; a client of null is all clients.</summary>
    private sealed record ClientRegistration(string? Client, string Account);
}
