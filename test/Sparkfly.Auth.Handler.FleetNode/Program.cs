using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Sparkfly.Auth.Handler;

// Instances of an application in a fleet, one after another. Orders come by standard input, a line each, and are answered by a line each:
//   start NAME=VALUE ...  ends the instance before, and starts one with these settings, after tabs: those of the account, and Redis, the address of
//                         the shared cache, without which it shares nothing: "ready"
//   call N                makes N calls, one after another: "answered N failed M slowest MS warned W", in milliseconds, with the warnings since the start
//   pass S                sets its clock S seconds ahead: "passed"
// The end of the input ends it.
Instance? instance = null;
while (await Console.In.ReadLineAsync() is { } line)
{
    string[] order = line.Split('\t');
    switch (order[0])
    {
        case "start":
            await EndAsync();
            instance = await Instance.StartAsync(order[1..].Select(static s => s.Split('=', 2)).ToDictionary(static s => s[0], string? (s) => s[1]));
            Console.WriteLine("ready");
            break;
        case "call":
            Console.WriteLine(await instance!.CallAsync(int.Parse(order[1], CultureInfo.InvariantCulture)));
            break;
        case "pass":
            instance!.Time.Pass(TimeSpan.FromSeconds(int.Parse(order[1], CultureInfo.InvariantCulture)));
            Console.WriteLine("passed");
            break;
    }
}

await EndAsync();

async Task EndAsync()
{
    if (instance is not null)
    {
        await instance.DisposeAsync();
    }
}

/// <summary>One instance.</summary>
internal sealed class Instance : IAsyncDisposable
{
    private readonly CacheWarnings _warnings = new();
    private readonly IHost _host;
    private readonly HttpClient _http;

    private Instance(Dictionary<string, string?> settings)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection(settings);
        builder.Services.AddSingleton<TimeProvider>(Time);
        builder.Logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).AddProvider(_warnings).SetMinimumLevel(LogLevel.Warning);
        SparkflyAuthBuilder account = builder.Services.AddSparkflyAuth();
        if (builder.Configuration["Redis"] is { Length: > 0 } redis)
        {
            builder.Services.AddStackExchangeRedisCache(cache => cache.Configuration = redis);
            account.UseDistributedCache();
        }

        builder.Services.AddHttpClient("api").AddSparkflyAuthHandler();
        _host = builder.Build();
        _http = _host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
    }

    public AheadTime Time { get; } = new();

    public static async Task<Instance> StartAsync(Dictionary<string, string?> settings)
    {
        var instance = new Instance(settings);
        await instance._host.StartAsync();
        return instance;
    }

    public async Task<string> CallAsync(int calls)
    {
        int answered = 0;
        int failed = 0;
        TimeSpan slowest = TimeSpan.Zero;
        for (; calls > 0; calls--)
        {
            long start = Stopwatch.GetTimestamp();
            try
            {
                using HttpResponseMessage response = await _http.GetAsync("offers");
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

        return string.Create(
            CultureInfo.InvariantCulture, $"answered {answered} failed {failed} slowest {slowest.TotalMilliseconds:F0} warned {_warnings.Count}");
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }
}

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
