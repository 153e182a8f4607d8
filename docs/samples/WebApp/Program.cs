using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using WebApp;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);

// The section "Sparkfly": appsettings.json has what is no secret; the key comes from user secrets, the environment or a vault.
// The token is fetched while the host starts, so that the first user does not wait for it. Failed authentication is retried only if that can help.
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
