using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Sparkfly.Auth.Handler;

// One instance of an application in a fleet. Settings come from the environment: those of the account, and Redis, the shared cache's address,
// without which it shares nothing. Orders come by standard input, a line each, and are answered by a line each:
//   call N    makes N calls, one after another: "answered N failed M slowest MS warned W", in milliseconds, with the warnings since the start
//   pass S    sets its clock S seconds ahead: "passed"
// The end of the input ends it.
HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
builder.Configuration.AddEnvironmentVariables();
var time = new AheadTime();
builder.Services.AddSingleton<TimeProvider>(time);
using var warnings = new CacheWarnings();
builder.Logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).AddProvider(warnings).SetMinimumLevel(LogLevel.Warning);
SparkflyAuthBuilder account = builder.Services.AddSparkflyAuth();
if (builder.Configuration["Redis"] is { Length: > 0 } redis)
{
    builder.Services.AddStackExchangeRedisCache(cache => cache.Configuration = redis);
    account.UseDistributedCache();
}

builder.Services.AddHttpClient("api").AddSparkflyAuthHandler();

using IHost host = builder.Build();
await host.StartAsync();
HttpClient http = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
Console.WriteLine("ready");

while (await Console.In.ReadLineAsync() is { } order)
{
    if (order.StartsWith("pass ", StringComparison.Ordinal))
    {
        time.Pass(TimeSpan.FromSeconds(int.Parse(order.AsSpan("pass ".Length), CultureInfo.InvariantCulture)));
        Console.WriteLine("passed");
        continue;
    }

    int answered = 0;
    int failed = 0;
    TimeSpan slowest = TimeSpan.Zero;
    for (int left = int.Parse(order.AsSpan("call ".Length), CultureInfo.InvariantCulture); left > 0; left--)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            using HttpResponseMessage response = await http.GetAsync("offers");
            response.EnsureSuccessStatusCode();
            answered++;
        }
        catch (HttpRequestException exception)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            failed++;
        }

        TimeSpan took = Stopwatch.GetElapsedTime(start);
        slowest = took > slowest ? took : slowest;
    }

    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"answered {answered} failed {failed} slowest {slowest.TotalMilliseconds:F0} warned {warnings.Count}"));
}

await host.StopAsync();

/// <summary>The system's clock, set ahead. Its timers are those of the system.</summary>
internal sealed class AheadTime : TimeProvider
{
    private long _ahead;

    public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddTicks(Volatile.Read(ref _ahead));

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Stopwatch.GetElapsedTime(0).Ticks + Volatile.Read(ref _ahead);

    public void Pass(TimeSpan time) => Interlocked.Add(ref _ahead, time.Ticks);
}

/// <summary>Counts at once what the package logs where the cache fails. The console's log is written later, by a thread of its own.</summary>
internal sealed class CacheWarnings : ILoggerProvider, ILogger
{
    // docs/observability.md has what they say.
    private static readonly int[] s_events = [5, 51, 52, 56];

    private int _count;

    public int Count => Volatile.Read(ref _count);

    public ILogger CreateLogger(string categoryName) => categoryName == "Sparkfly.Auth.Handler" ? this : NullLogger.Instance;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (s_events.Contains(eventId.Id))
        {
            Interlocked.Increment(ref _count);
        }
    }

    public void Dispose()
    {
    }
}
