using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Compliance.Classification;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Beside handlers of other packages, in the defaults of all clients: the host starts, calls with a token, renews after a revocation, stops.</summary>
public class PipelineTests
{
    [Test]
    public async Task Service_discovery_in_defaults([Values] bool isHandlerInDefaults)
    {
        await using RecordingServer offers = await RecordingServer.StartAsync();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Configuration.AddInMemoryCollection([new("services:offers:http:0", offers.Address.AbsoluteUri)]);
        builder.Services.AddServiceDiscovery();
        builder.Services.ConfigureHttpClientDefaults(static clients => clients.AddServiceDiscovery());
        builder.Services.AddHttpClient("elsewhere", static http => http.BaseAddress = new Uri("https+http://offers"));
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);

        await sparkfly.RunAsync(builder.Build, static async host =>
        {
            using HttpClient client = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("elsewhere");
            using HttpResponseMessage response = await client.GetAsync(new Uri("catalog", UriKind.Relative));
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        });

        Assert.That(offers.Requests.Select(static r => (r.Url, r.Token)), Is.EqualTo(new[] { ("/catalog", (string?)null) }));
    }

    /// <summary>The address that decides is the one that service discovery has resolved.</summary>
    [Test]
    public async Task Service_discovery_of_Sparkfly_itself([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Configuration.AddInMemoryCollection([new("services:sparkfly:http:0", new Uri(sparkfly.Server.BaseAddress, "/").AbsoluteUri)]);
        builder.Services.AddServiceDiscovery();
        builder.Services.ConfigureHttpClientDefaults(static clients => clients.AddServiceDiscovery());
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);
        builder.Services.AddHttpClient("api", static http => http.BaseAddress = new Uri("https+http://sparkfly/v1.0/"));

        await sparkfly.RunAsync(builder.Build);
    }

    [Test]
    public async Task Header_propagation([Values] bool isInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        WebApplicationBuilder builder = Hosts.NewWeb();
        builder.Services.AddHeaderPropagation(static options =>
        {
            options.Headers.Add("X-Request-Id");
            options.Headers.Add("X-Auth-Token");
        });
        sparkfly.AddTo(builder.Services);
        _ = isInDefaults
            ? builder.Services.ConfigureHttpClientDefaults(static clients => clients.AddHeaderPropagation())
            : builder.Services.AddHttpClient("api").AddHeaderPropagation().Services;
        await using WebApplication app = builder.Build();
        app.UseHeaderPropagation();
        app.MapGet("/", static async (IHttpClientFactory clients) =>
        {
            using HttpClient client = clients.CreateClient("api");
            return await client.GetStringAsync(new Uri("offers", UriKind.Relative));
        });
        await app.StartAsync().WaitAsync(TestApp.Patience);
        using var browser = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
        browser.DefaultRequestHeaders.Add("X-Request-Id", "17");
        browser.DefaultRequestHeaders.Add("X-Auth-Token", "of-a-browser");

        await sparkfly.CallAndRenewAsync(() => browser.GetAsync(new Uri("", UriKind.Relative)));
        await app.StopAsync().WaitAsync(TestApp.Patience);

        Assert.That(sparkfly.ApiRequests.Select(static r => r.Headers.GetValueOrDefault("X-Request-Id")), Has.All.EqualTo("17"));
        Assert.That(sparkfly.TokenRequests.Select(static r => r.Headers.GetValueOrDefault("X-Request-Id")), Has.All.Null);
    }

    [Test]
    public async Task Extended_HTTP_logging([Values] bool isHandlerInDefaults)
    {
        string[] headers = ["X-Auth-Token", "X-Auth-Identity", "X-Auth-Key", "X-Seen"];
        var log = new ConcurrentQueue<string>();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Logging.AddProvider(new SecretSweep.Provider(log.Enqueue));
        builder.Services.AddRedaction();
        builder.Services.AddExtendedHttpClientLogging(options =>
        {
            options.LogRequestStart = true;
            options.LogBody = true;
            options.RequestBodyContentTypes.Add("application/json");
            options.ResponseBodyContentTypes.Add("application/json");
            foreach (string header in headers)
            {
                // Not redacted.
                options.RequestHeadersDataClasses[header] = DataClassification.None;
                options.ResponseHeadersDataClasses[header] = DataClassification.None;
            }
        });
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);
        builder.Services.AddHttpClient("api").ConfigureHttpClient(static http => http.DefaultRequestHeaders.Add("X-Seen", "by-the-logger"));

        await sparkfly.RunAsync(builder.Build);

        Assert.That(log, Has.Some.Contains("by-the-logger"), "or headers are not logged");
        Assert.That(log.Where(static e => e.Contains("HttpClientLogger", StringComparison.Ordinal)), Has.Some.Contains("POST"), "the token request is logged too");
        Assert.That(SecretSweep.Leaks(log, [sparkfly.Server.Options.Identity, sparkfly.Server.Options.Key, .. sparkfly.Tokens]), Is.Empty);
    }

    [Test]
    public async Task The_standard_resilience_handler_in_defaults([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);
        builder.Services.ConfigureHttpClientDefaults(static clients => clients.AddStandardResilienceHandler());

        await sparkfly.RunAsync(builder.Build);
    }

    [Test]
    public async Task A_handler_that_is_added_again_after_all_were_cleared()
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        sparkfly.AddTo(builder.Services);
        builder.Services.AddHttpClient("api").ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Clear()).AddSparkflyAuthHandler();

        await sparkfly.RunAsync(builder.Build);
    }

    [Test]
    public async Task A_pipeline_builder_of_the_application_s_own_that_is_registered_in_between([Values] bool isClientLast, [Values] bool isReplacement)
    {
        var above = new ConcurrentQueue<string?>();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        if (!isClientLast)
        {
            sparkfly.AddClient(builder.Services);
        }

        builder.Services.AddSparkflyAuth(options => options.Use(sparkfly.Server));
        if (isReplacement)
        {
            builder.Services.Replace(ServiceDescriptor.Transient<HttpMessageHandlerBuilder, OwnBuilder>());
        }
        else
        {
            builder.Services.AddTransient<HttpMessageHandlerBuilder, OwnBuilder>();
        }

        if (isClientLast)
        {
            sparkfly.AddClient(builder.Services);
        }
        else
        {
            builder.Services.AddSparkflyAuth("another", options => options.Use(sparkfly.Server));
        }

        builder.Services.AddHttpClient("api").AddHttpMessageHandler(() => new Look(request => above.Enqueue(
            request.Headers.TryGetValues("X-Auth-Token", out IEnumerable<string>? values) ? values.Single() : null)));

        await sparkfly.RunAsync(builder.Build);

        Assert.That(above, Has.Count.EqualTo(3).And.All.Null, "our handler is below every other one");
    }

    private sealed class OwnBuilder(IServiceProvider services) : HttpMessageHandlerBuilder
    {
        public override string? Name { get; set; }

        public override HttpMessageHandler PrimaryHandler { get; set; } = new SocketsHttpHandler();

        public override IList<DelegatingHandler> AdditionalHandlers { get; } = [];

        public override IServiceProvider Services => services;

        public override HttpMessageHandler Build() => CreateHandlerPipeline(PrimaryHandler, AdditionalHandlers);
    }

    private sealed class Look(Action<HttpRequestMessage> look) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            look(request);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
