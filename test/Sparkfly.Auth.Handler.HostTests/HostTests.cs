using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using OffersApi;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>In each host: it starts, calls with a token, renews after a revocation, stops.</summary>
public class HostTests
{
    [Test]
    public async Task Host_CreateApplicationBuilder()
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Configuration.AddInMemoryCollection(sparkfly.Settings);
        builder.Services.AddSparkflyAuth().WarmUpOnStart(required: true);
        sparkfly.AddClient(builder.Services);

        await sparkfly.RunAsync(builder.Build);
    }

    [Test]
    public async Task Host_CreateEmptyApplicationBuilder()
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(sparkfly.Settings);
        builder.Services.AddSparkflyAuth();
        sparkfly.AddClient(builder.Services);

        await sparkfly.RunAsync(builder.Build);
    }

    [Test]
    public async Task WebApplication_CreateBuilder()
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        WebApplicationBuilder builder = Hosts.NewWeb();
        builder.Configuration.AddInMemoryCollection(sparkfly.Settings);
        builder.Services.AddSparkflyAuth().WarmUpOnStart();
        builder.Services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();
        await using WebApplication app = builder.Build();
        app.MapGet("/offers", static (OffersClient offers, CancellationToken cancellationToken) => offers.GetOffersAsync(cancellationToken));
        await app.StartAsync().WaitAsync(TestApp.Patience);
        using var browser = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        await sparkfly.CallAndRenewAsync(() => browser.GetAsync(new Uri("offers", UriKind.Relative)));

        await app.StopAsync().WaitAsync(TestApp.Patience);
    }

    [Test]
    public async Task WebApplicationFactory_of_an_application()
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        await using var application = new WebApplicationFactory<OffersClient>();
        await using WebApplicationFactory<OffersClient> configured = application.WithWebHostBuilder(web =>
        {
            web.ConfigureLogging(static logging => logging.SweptOnly());
            foreach ((string key, string? value) in sparkfly.Settings)
            {
                web.UseSetting(key, value);
            }
        });
        using HttpClient browser = configured.CreateClient();

        await sparkfly.CallAndRenewAsync(() => browser.GetAsync(new Uri("offers", UriKind.Relative)));
    }

    [Test]
    public async Task Host_CreateDefaultBuilder_with_ConfigureWebHostDefaults()
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        using IHost host = Host.CreateDefaultBuilder()
            .UseEnvironment(Environments.Development)
            .ConfigureLogging(static logging => logging.SweptOnly())
            .ConfigureAppConfiguration(configuration => configuration.AddInMemoryCollection(sparkfly.Settings))
            .ConfigureServices(static services =>
            {
                services.AddSparkflyAuth();
                services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();
            })
            .ConfigureWebHostDefaults(static web => web.UseUrls("http://127.0.0.1:0").Configure(static app => app.Run(static async context =>
                await context.Response.WriteAsJsonAsync(await context.RequestServices.GetRequiredService<OffersClient>().GetOffersAsync(context.RequestAborted)))))
            .Build();
        await host.StartAsync().WaitAsync(TestApp.Patience);
        IServerAddressesFeature addresses = host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!;
        using var browser = new HttpClient { BaseAddress = new Uri(addresses.Addresses.Single()) };

        await sparkfly.CallAndRenewAsync(() => browser.GetAsync(new Uri("", UriKind.Relative)));

        await host.StopAsync().WaitAsync(TestApp.Patience);
    }

    [Test]
    public async Task A_ServiceProvider_that_validates_scopes_and_services([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(sparkfly.Settings).Build());
        services.AddSparkflyAuth();
        sparkfly.AddClient(services, isHandlerInDefaults);
        await using ServiceProvider provider = services.BuildServiceProvider(new ServiceProviderOptions { ValidateOnBuild = true, ValidateScopes = true });

        await sparkfly.CallAndRenewAsync(provider);
    }

    /// <summary>The same credentials in hosts of one process are as independent as in several processes.</summary>
    [Test]
    public async Task Parallel_hosts_in_one_process([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        IHost[] hosts = [.. Enumerable.Range(0, 4).Select(_ =>
        {
            HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
            builder.Logging.SweptOnly();
            sparkfly.AddTo(builder.Services, isHandlerInDefaults);
            return builder.Build();
        })];
        await Task.WhenAll(hosts.Select(static h => h.StartAsync())).WaitAsync(TestApp.Patience);

        HttpStatusCode[] cold = await Task.WhenAll(hosts.Select(CallAsync)).WaitAsync(TestApp.Patience);
        int coldPosts = sparkfly.Server.TokenRequests;
        string[] coldTokens = [.. sparkfly.ApiRequests.Select(static r => r.Token!)];
        sparkfly.Server.RevokeTokens();
        HttpStatusCode[] renewed = await Task.WhenAll(hosts.Select(CallAsync)).WaitAsync(TestApp.Patience);
        await hosts[0].StopAsync().WaitAsync(TestApp.Patience);
        hosts[0].Dispose();
        HttpStatusCode[] others = await Task.WhenAll(hosts[1..].Select(CallAsync)).WaitAsync(TestApp.Patience);

        Assert.That(cold.Concat(renewed).Concat(others), Has.All.EqualTo(HttpStatusCode.OK));
        Assert.That((coldPosts, sparkfly.Server.TokenRequests), Is.EqualTo((4, 8)), "POSTs before and after the revocation");
        Assert.That(coldTokens, Is.EquivalentTo(sparkfly.Tokens.Take(4)), "each host its own token");
        foreach (IHost host in hosts[1..])
        {
            await host.StopAsync().WaitAsync(TestApp.Patience);
            host.Dispose();
        }
    }

    private static async Task<HttpStatusCode> CallAsync(IHost host)
    {
        using HttpClient client = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        using HttpResponseMessage response = await client.GetAsync(new Uri("offers", UriKind.Relative));
        return response.StatusCode;
    }
}
