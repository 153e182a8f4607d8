using ConsoleProgram;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Sparkfly.Auth.Handler;
using Sparkfly.Auth.Handler.Testing;

// Without a host, read the configuration yourself and register it: AddSparkflyAuth() looks for IConfiguration.
IConfiguration configuration = new ConfigurationBuilder()
    .SetBasePath(AppContext.BaseDirectory)
    .AddJsonFile("appsettings.json")
    .AddUserSecrets<Program>()
    .AddEnvironmentVariables()
    .Build();

var services = new ServiceCollection();
services.AddSingleton(configuration);
services.AddSparkflyAuth();
services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();

// Without a key, an in-memory Sparkfly takes the place of the real one.
FakeSparkfly? sparkfly = configuration["Sparkfly:Key"] is null ? services.AddFakeSparkfly() : null;
sparkfly?.Answer(HttpMethod.Get, "offers", """{"offers":["two for one"]}""");

// Dispose the provider at the end of the program. One provider has one token: keep it for the program's life.
await using ServiceProvider provider = services.BuildServiceProvider();
try
{
    // No host validates the settings at start: the first use does.
    var offers = provider.GetRequiredService<OffersClient>();
    Console.WriteLine(await offers.GetOffersAsync());
    Console.WriteLine(await offers.GetOffersAsync());
    Console.WriteLine($"POST /auth in all: {sparkfly?.TokenRequests.Count ?? 1}");
    return 0;
}
catch (OptionsValidationException exception)
{
    Console.WriteLine(string.Join(Environment.NewLine, exception.Failures));
}
catch (SparkflyAuthenticationException exception)
{
    Console.WriteLine(exception.Message);
}

return 1;
