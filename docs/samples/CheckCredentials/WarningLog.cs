using Microsoft.Extensions.Logging;

namespace CheckCredentials;

/// <summary>Writes the warnings of the package to the report.</summary>
internal sealed class WarningLog(TextWriter report) : ILoggerProvider, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel == LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            report.WriteLine($"Warning: {formatter(state, exception)}");
        }
    }

    public void Dispose()
    {
    }
}
