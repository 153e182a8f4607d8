using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Messages of the platform that users of the package get by a slip; docs/troubleshooting.md has each.</summary>
public class PlatformMessagesTests
{
    private const string InvalidAddress = "An invalid request URI was provided. Either the request URI must be an absolute URI or BaseAddress must be set.";
    private const string NoHandler = "No service for type 'Sparkfly.Auth.Handler.SparkflyAuthHandler' has been registered.";
    private const string NoHttpClient = "Unable to resolve service for type 'System.Net.Http.HttpClient' while attempting to activate '";
    private const string NotConverted = "Failed to convert configuration value '";

    private readonly InMemorySparkfly _sparkfly = new();

    /// <summary>The messages, as the platform has them in English.</summary>
    public static string[] All { get; } = [InvalidAddress, NoHandler, NoHttpClient, NotConverted];

    [Test]
    public async Task A_client_without_the_handler_has_no_base_address()
    {
        await using TestApp app = _sparkfly.App(register: static services => services.AddHttpClient<OffersClient>());

        Assert.That(await MessageOf(app.Services.GetRequiredService<OffersClient>()), Is.EqualTo(InvalidAddress));
        Assert.That(_sparkfly.ApiRequests.Value, Is.Zero);
    }

    [Test]
    public async Task A_misspelt_client_name_makes_a_client_that_has_no_base_address()
    {
        await using TestApp app = _sparkfly.App();
        using HttpClient misspelt = app.Client("apj");

        Assert.That(await MessageOf(new OffersClient(misspelt)), Is.EqualTo(InvalidAddress));
    }

    [TestCase(true, TestName = "AddScoped_after_AddHttpClient_replaces_the_typed_client_by_one_that_has_no_base_address")]
    [TestCase(false, TestName = "AddHttpClient_after_AddScoped_makes_the_typed_client")]
    public async Task AddScoped_and_AddHttpClient(bool isAfter)
    {
        await using TestApp app = _sparkfly.App(register: services =>
        {
            if (!isAfter)
            {
                services.AddScoped<OffersClient>();
            }

            services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);
            if (isAfter)
            {
                services.AddScoped<OffersClient>();
            }
        });
        using IServiceScope scope = app.Services.CreateScope();

        Assert.That(await MessageOf(scope.ServiceProvider.GetRequiredService<OffersClient>()), Is.EqualTo(isAfter ? InvalidAddress : null));
        Assert.That(_sparkfly.ApiRequests.Value, Is.EqualTo(isAfter ? 0 : 1));
    }

    [Test]
    public async Task AddHttpMessageHandler_gives_a_client_no_base_address()
    {
        await using TestApp app = _sparkfly.App(register: static services => services.AddHttpClient("own").AddHttpMessageHandler<SparkflyAuthHandler>());
        using HttpClient own = app.Client("own");

        Assert.That(await MessageOf(new OffersClient(own)), Is.EqualTo(InvalidAddress));
    }

    [Test]
    public async Task AddHttpMessageHandler_without_AddSparkflyAuth_finds_no_handler()
    {
        await using var app = new TestApp(static services => services.AddHttpClient("api").AddHttpMessageHandler<SparkflyAuthHandler>());

        Assert.That(Assert.Throws<InvalidOperationException>(() => app.Client())!.Message, Is.EqualTo(NoHandler));
    }

    [Test]
    public async Task A_typed_client_that_is_a_plain_service_has_no_HttpClient_where_AddHttpClient_was_never_called()
    {
        await using ServiceProvider services = new ServiceCollection().AddScoped<OffersClient>().BuildServiceProvider();
        using IServiceScope scope = services.CreateScope();

        Assert.That(
            Assert.Throws<InvalidOperationException>(() => scope.ServiceProvider.GetRequiredService<OffersClient>())!.Message,
            Does.StartWith(NoHttpClient));
    }

    [Test]
    public async Task A_value_of_the_wrong_type_stops_the_host_with_its_key()
    {
        IConfigurationRoot configuration = Configured.From(
            ("Sparkfly:Identity", "identity"), ("Sparkfly:Key", SecretSweep.NewSecret("key")), ("Sparkfly:AuthTimeout", "half a minute"));

        Exception? exception = await Assert.CatchAsync(async () =>
        {
            using Microsoft.Extensions.Hosting.IHost host = HostedApp.Build(static services => services.AddSparkflyAuth(), configuration);
            await host.StartAsync();
        });

        Assert.That(exception, Is.Not.TypeOf<OptionsValidationException>());
        Assert.That(exception!.Message, Does.StartWith(NotConverted).And.Contain("Sparkfly:AuthTimeout"));
    }

    private static async Task<string?> MessageOf(OffersClient client)
    {
        try
        {
            using HttpResponseMessage response = await client.GetAsync();
            return null;
        }
        catch (InvalidOperationException exception)
        {
            return exception.Message;
        }
    }

    private sealed class OffersClient(HttpClient http)
    {
        public Task<HttpResponseMessage> GetAsync() => http.GetAsync("offers");
    }
}
