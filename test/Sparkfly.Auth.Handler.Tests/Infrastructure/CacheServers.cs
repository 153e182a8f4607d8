namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The servers that speak Redis on this machine.</summary>
internal static class CacheServers
{
    private const string OfTheTests = "Garnet";

    /// <summary>Garnet, which comes with the tests, and redis-server where it is installed.</summary>
    public static string[] Names { get; } = RedisServer.Program is null ? [OfTheTests] : [OfTheTests, "redis-server"];

    public static async Task<ICacheServer> StartAsync(string name) => name == OfTheTests ? await Garnet.StartAsync() : await RedisServer.StartAsync();
}

/// <summary>A server that speaks Redis.</summary>
internal interface ICacheServer : IAsyncDisposable
{
    string Address { get; }

    /// <summary>Ends it as a crash does.</summary>
    Task KillAsync();

    /// <summary>Brings it back at the same address, and empty.</summary>
    Task RestartAsync();
}
