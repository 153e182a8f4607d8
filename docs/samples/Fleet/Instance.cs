using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fleet;

/// <summary>One instance of the application. It reads the section "Sparkfly" and the connection string "Redis".</summary>
internal static class Instance
{
    public static async Task RunAsync(string[] args)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
        builder.Services.AddStackExchangeRedisCache(redis => redis.Configuration = builder.Configuration.GetConnectionString("Redis"));
        builder.Services.AddSparkflyAuth().UseDistributedCache();
        builder.Services.AddHttpClient("offers").AddSparkflyAuthHandler();

        using IHost host = builder.Build();
        await host.StartAsync();
        HttpClient http = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("offers");
        using HttpResponseMessage response = await http.GetAsync("offers");
        Console.WriteLine($"Process {Environment.ProcessId}: GET offers {(int)response.StatusCode}");
        await host.StopAsync();
    }
}
