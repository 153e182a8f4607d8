using System.Diagnostics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Quickstart;
using Sparkfly.Auth.Handler;
using SparkflyStandIn;

HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);

// Set Sparkfly__BaseAddress, Sparkfly__Identity and Sparkfly__Key to call that Sparkfly. Otherwise the sample starts a stand-in on a loopback port.
bool isConfigured = builder.Configuration.GetSection(SparkflyAuthOptions.SectionName).GetChildren().Any();
await using StandInServer? standIn = isConfigured ? null : await StandInServer.StartAsync();
if (standIn is not null)
{
    builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
    {
        ["Sparkfly:BaseAddress"] = standIn.BaseAddress.AbsoluteUri,
        ["Sparkfly:Identity"] = standIn.Options.Identity,
        ["Sparkfly:Key"] = standIn.Options.Key,
    });
}

// The two lines of an application. ConfigureAuthClient is for the counter only.
var counter = new TokenRequestCounter();
builder.Services.AddSparkflyAuth().ConfigureAuthClient(auth => auth.AddHttpMessageHandler(counter.NewHandler));
builder.Services.AddHttpClient<OffersClient>().AddSparkflyAuthHandler();

using IHost host = builder.Build();
try
{
    await host.StartAsync();
}
catch (OptionsValidationException exception)
{
    Console.WriteLine(string.Join(Environment.NewLine, exception.Failures));
    return 1;
}

var offers = host.Services.GetRequiredService<OffersClient>();

Console.WriteLine(standIn is null
    ? $"Calling Sparkfly at {builder.Configuration["Sparkfly:BaseAddress"]}."
    : $"Calling a local stand-in for Sparkfly at {standIn.BaseAddress}.");
Console.WriteLine();
Console.WriteLine($"{"call",-45}{"answer",-18}{"took",10}{"POST /auth so far",20}");
try
{
    await CallAsync("first use: a token is fetched");
    await CallAsync("reused");
    await CallAsync("reused");
    if (standIn is null)
    {
        Console.WriteLine();
        Console.WriteLine($"The token was fetched on first use and reused: {counter.Count} POST /auth in all.");
        return 0;
    }

    standIn.RevokeTokens();
    Console.WriteLine("            the server revokes every token");
    await CallAsync("rejected, renewed, sent again");
    await CallAsync("reused");
}
catch (HttpRequestException exception)
{
    Console.WriteLine(exception.Message);
    return 1;
}

bool isAsPromised = counter.Count == 2 && standIn.TokenRequests == 2;
Console.WriteLine();
Console.WriteLine(isAsPromised
    ? "The token was fetched on first use, reused, and renewed once: 2 POST /auth in all."
    : $"That is not as promised: {standIn.TokenRequests} POST /auth in all, where 2 were expected.");
return isAsPromised ? 0 : 1;

async Task CallAsync(string what)
{
    long start = Stopwatch.GetTimestamp();
    using HttpResponseMessage response = await offers.GetOffersAsync();
    TimeSpan took = Stopwatch.GetElapsedTime(start);
    Console.WriteLine(
        $"{"GET offers  " + what,-45}{$"{(int)response.StatusCode} {response.ReasonPhrase}",-18}{took.TotalMilliseconds,7:0.0} ms{counter.Count,20}");
    response.EnsureSuccessStatusCode();
}
