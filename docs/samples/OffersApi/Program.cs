using OffersApi;
using Sparkfly.Auth.Handler;

// An ASP.NET Core application that returns Sparkfly's offers. docs/testing.md tests it.
WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Services.AddSparkflyAuth();
builder.Services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();

WebApplication app = builder.Build();
app.MapGet("/offers", static async (OffersClient offers, CancellationToken cancellationToken) =>
{
    try
    {
        return Results.Ok(await offers.GetOffersAsync(cancellationToken));
    }
    catch (SparkflyAuthenticationException exception) when (exception.IsTransient)
    {
        return Results.Problem("Offers are not available at the moment.", statusCode: StatusCodes.Status503ServiceUnavailable);
    }
});
await app.RunAsync();
