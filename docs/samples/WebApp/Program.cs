using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using WebApp;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);

// appsettings.json has the section "Sparkfly" without the key, which comes from user secrets, the environment or a vault.
// WarmUpOnStart requests the token while the host starts. AddResilienceRules retries failed authentication only if it is transient.
builder.Services.AddSparkflyAuth().WarmUpOnStart().AddResilienceRules();
builder.Services.ConfigureHttpClientDefaults(static client => client.AddStandardResilienceHandler());
builder.Services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();
builder.Services.AddHttpClient<MembersClient>().AddSparkflyAuthHandler();

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
