using Sparkfly.Auth.Handler;

namespace Worker;

/// <summary>Reads the offers at an interval. A worker of your own loops until it is stopped; this one ends after three rounds.</summary>
internal sealed class OffersWorker(IServiceScopeFactory scopes, IHostApplicationLifetime lifetime) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (int round = 1; round <= 3; round++)
        {
            await ReadOffersAsync(round, stoppingToken);
            await Task.Delay(TimeSpan.FromMilliseconds(300), stoppingToken);
        }

        lifetime.StopApplication();
    }

    private async Task ReadOffersAsync(int round, CancellationToken stoppingToken)
    {
        // A worker is a singleton: create the typed client for each round, so that it follows a changed base address.
        await using AsyncServiceScope scope = scopes.CreateAsyncScope();
        var offers = scope.ServiceProvider.GetRequiredService<OffersClient>();
        try
        {
            Console.WriteLine($"Round {round}: {await offers.GetOffersAsync(stoppingToken)}");
        }
        catch (SparkflyAuthenticationException)
        {
            // The request was not sent. The package has logged the reason.
            Console.WriteLine($"Round {round}: no token; the next round tries again.");
        }
        catch (HttpRequestException exception)
        {
            Console.WriteLine($"Round {round}: the API failed: {exception.Message}");
        }
    }
}
