using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using Sparkfly.Auth.Handler;
using WebApp;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);

// The section "Sparkfly": appsettings.json has what is no secret; the key comes from user secrets, the environment or a vault.
// The token is fetched while the host starts, so that the first user does not wait for it.
builder.Services.AddSparkflyAuth().WarmUpOnStart();
foreach (IHttpClientBuilder client in new[] { builder.Services.AddHttpClient<OffersClient>(), builder.Services.AddHttpClient<MembersClient>() })
{
    client.AddStandardResilienceHandler(static options =>
    {
        // A token that cannot be had now may be had later, if IsTransient says so; wrong credentials stay wrong.
        var shouldRetry = options.Retry.ShouldHandle;
        options.Retry.ShouldHandle = arguments => arguments.Outcome.Exception is SparkflyAuthenticationException failure
            ? ValueTask.FromResult(failure.IsTransient)
            : shouldRetry(arguments);
        var shouldCount = options.CircuitBreaker.ShouldHandle;
        options.CircuitBreaker.ShouldHandle = arguments => arguments.Outcome.Exception is SparkflyAuthenticationException
            ? ValueTask.FromResult(false)
            : shouldCount(arguments);
    });
    client.AddSparkflyAuthHandler();
}

builder.Services.AddHealthChecks().AddSparkflyAuth();
builder.Services.AddOpenTelemetry()
    .WithMetrics(static metrics => metrics.AddMeter("Sparkfly.Auth.Handler").AddConsoleExporter())
    .WithTracing(static traces => traces
        .AddSource("Sparkfly.Auth.Handler").AddAspNetCoreInstrumentation().AddHttpClientInstrumentation().AddConsoleExporter());

Tour? tour = builder.Configuration["Sparkfly:Key"] is null ? Tour.Prepare(builder) : null;

await using WebApplication app = builder.Build();
app.MapGet("/offers", static (OffersClient offers, CancellationToken cancellationToken) => offers.GetOffersAsync(cancellationToken));
app.MapGet("/members/{id}", static (string id, MembersClient members, CancellationToken cancellationToken) => members.GetMemberAsync(id, cancellationToken));
app.MapHealthChecks("/health");

if (tour is not null)
{
    return await tour.TakeAsync(app);
}

await app.RunAsync();
return 0;
