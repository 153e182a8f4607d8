using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Text;
using Autofac.Extensions.DependencyInjection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Exporter;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using Sentry.Extensions.Logging;
using Serilog;
using Serilog.Core;
using Serilog.Events;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>With each monitoring agent the host starts, calls, renews and stops, and no secret is in what the agent sends.</summary>
public class AgentTests
{
    private const string Obtained = "Obtained";

    public enum Container
    {
        Default,
        Autofac,
    }

    [Test]
    public async Task Serilog_with_a_sink_that_sends_over_HTTP([Values] Container container, [Values] bool isHandlerInDefaults)
    {
        await using RecordingServer logs = await RecordingServer.StartAsync();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        if (container == Container.Autofac)
        {
            builder.ConfigureContainer(new AutofacServiceProviderFactory());
        }

        builder.Services.AddHttpClient("logs").RemoveAllLoggers();
        builder.Services.AddSerilog(
            (services, configuration) => configuration
                .MinimumLevel.Verbose()
                .Enrich.FromLogContext()
                .WriteTo.Sink(new HttpSink(services.GetRequiredService<IHttpClientFactory>(), logs.Address)),
            preserveStaticLogger: true);
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);

        await sparkfly.RunAsync(builder.Build);

        sparkfly.AssertNoSecretIn(logs.Requests, Obtained);
    }

    [Test]
    public async Task OpenTelemetry_with_the_OTLP_exporter([Values] bool isHandlerInDefaults)
    {
        await using RecordingServer collector = await RecordingServer.StartAsync();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        using Activity start = new Activity("start") { ActivityTraceFlags = ActivityTraceFlags.Recorded }.Start();
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Services.AddSparkflyAuth(options => options.Use(sparkfly.Server)).WarmUpOnStart(required: true);
        sparkfly.AddClient(builder.Services, isHandlerInDefaults);
        builder.Logging.AddOpenTelemetry(static logging =>
        {
            logging.IncludeFormattedMessage = true;
            logging.IncludeScopes = true;
            logging.ParseStateValues = true;
        });
        builder.Services.AddOpenTelemetry()
            .WithTracing(tracing => tracing.AddSource("Sparkfly.Auth.Handler").AddHttpClientInstrumentation().AddOtlpExporter(Export("v1/traces")))
            .WithMetrics(metrics => metrics.AddMeter("Sparkfly.Auth.Handler").AddHttpClientInstrumentation().AddOtlpExporter(Export("v1/metrics")))
            .WithLogging(logging => logging.AddOtlpExporter(Export("v1/logs")));

        await sparkfly.RunAsync(builder.Build, static host =>
        {
            // A host that is disposed of gives the exporter five seconds.
            host.Services.GetRequiredService<MeterProvider>().ForceFlush();
            return Task.CompletedTask;
        });

        // Each trace request holds one activity.
        sparkfly.AssertNoSecretIn(At("/v1/logs"), Obtained);
        sparkfly.AssertNoSecretIn(At("/v1/metrics"), "sparkfly.auth.token.request.duration");
        sparkfly.AssertNoSecretIn(At("/v1/traces"), "sparkfly.auth.token.request");
        Assert.That(
            At("/v1/traces").Where(r => r.Body.Contains(start.TraceId.ToHexString(), StringComparison.OrdinalIgnoreCase)).Select(Latin),
            Has.Exactly(2).Contains("sparkfly.auth.token.request"),
            "the token request of the start, and the one after the revocation");

        Action<OtlpExporterOptions> Export(string path) => options =>
        {
            options.Protocol = OtlpExportProtocol.HttpProtobuf;
            options.Endpoint = new Uri(collector.Address, path);
            options.ExportProcessorType = OpenTelemetry.ExportProcessorType.Simple;
            options.TimeoutMilliseconds = (int)TestApp.Patience.TotalMilliseconds;
        };
        Seen[] At(string path) => [.. collector.Requests.Where(r => r.Url == path)];
    }

    private static string Latin(Seen request) => Encoding.Latin1.GetString(Convert.FromHexString(request.Body));

    /// <summary>Sends each entry at once with a client of the factory.</summary>
    private sealed class HttpSink(IHttpClientFactory clients, Uri address) : ILogEventSink
    {
        // What its own requests log is not sent.
        private static readonly AsyncLocal<bool> s_isSending = new();

        private readonly HttpClient _client = clients.CreateClient("logs");

        public void Emit(LogEvent logEvent)
        {
            if (s_isSending.Value)
            {
                return;
            }

            s_isSending.Value = true;
            try
            {
                string properties = string.Join(' ', logEvent.Properties.Select(static p => $"{p.Key}={p.Value}"));
                using var request = new HttpRequestMessage(HttpMethod.Post, address)
                {
                    Content = new StringContent($"{logEvent.RenderMessage(null)} {properties} {logEvent.Exception}"),
                };
                using HttpResponseMessage response = _client.Send(request);
            }
            finally
            {
                s_isSending.Value = false;
            }
        }
    }
}

/// <summary>Sentry's SDK is one for the process, so these run alone.</summary>
[NonParallelizable]
public class SentryTests
{
    [Test]
    public async Task Sentry_Extensions_Logging_in_a_worker([Values] bool isHandlerInDefaults)
    {
        await using RecordingServer sentry = await RecordingServer.StartAsync();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Logging.AddSentry(options => Configure(options, sentry));
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);

        await sparkfly.RunAsync(builder.Build, FailAsync);

        sparkfly.AssertNoSecretIn(sentry.Requests, "Obtained");
        sparkfly.AssertNoSecretIn(sentry.Requests, "offers/broken");
    }

    [Test]
    public async Task Sentry_AspNetCore_in_a_web_application([Values] bool isHandlerInDefaults)
    {
        await using RecordingServer sentry = await RecordingServer.StartAsync();
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        WebApplicationBuilder builder = Hosts.NewWeb();
        builder.WebHost.UseSentry(options => Configure(options, sentry));
        sparkfly.AddTo(builder.Services, isHandlerInDefaults);

        await sparkfly.RunAsync(builder.Build, FailAsync);

        sparkfly.AssertNoSecretIn(sentry.Requests, "Obtained");
        sparkfly.AssertNoSecretIn(sentry.Requests, "offers/broken");
    }

    // As much as it can send, none of it dropped because the server is slow, and legible.
    private static void Configure(SentryLoggingOptions options, RecordingServer sentry)
    {
        options.Dsn = $"http://public@{sentry.Address.Authority}/1";
        options.MinimumBreadcrumbLevel = LogLevel.Trace;
        options.MinimumEventLevel = LogLevel.Information;
        options.SendDefaultPii = true;
        options.TracesSampleRate = 1;
        options.EnableLogs = true;
        options.CaptureFailedRequests = true;
        options.FailedRequestStatusCodes.Add((400, 599));
        options.RequestBodyCompressionLevel = CompressionLevel.NoCompression;
        options.MaxQueueItems = 10_000;
    }

    // Sentry's handler makes an event of a request that failed, headers and all.
    private static async Task FailAsync(IHost host)
    {
        using HttpClient client = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        using HttpResponseMessage response = await client.GetAsync(new Uri("offers/broken", UriKind.Relative));
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.InternalServerError));
        await Sentry.SentrySdk.FlushAsync(TestApp.Patience);
    }
}
