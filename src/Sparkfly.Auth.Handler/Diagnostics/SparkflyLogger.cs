using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Sparkfly.Auth.Handler;

/// <summary>The package's logger, created at its first use. Thread-safe.</summary>
/// <remarks>
/// Not when handlers are created: a logger provider that sends over HTTP needs an <see cref="HttpClient"/>, and so a handler, before there is an
/// <see cref="ILoggerFactory"/>.
/// </remarks>
/// <param name="services">The root service provider: the scope of a handler ends before the handler does.</param>
internal sealed class SparkflyLogger(IServiceProvider services) : ILogger
{
    private ILogger? _logger;

    private ILogger Logger => _logger ??= Create();

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => Logger.BeginScope(state);

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => Logger.IsEnabled(logLevel);

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Logger.Log(logLevel, eventId, state, exception, formatter);

    private ILogger Create()
    {
        try
        {
            return services.GetRequiredService<ILoggerFactory>().CreateLogger(Handler.Log.Category);
        }
        catch (ObjectDisposedException)
        {
            // The service provider was disposed before anything was logged.
            return NullLogger.Instance;
        }
    }
}
