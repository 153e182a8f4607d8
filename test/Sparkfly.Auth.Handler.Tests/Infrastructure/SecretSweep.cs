using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Sees every log entry (all levels, state and scopes too) and every activity of the whole run, and knows every secret that the tests made
/// up. When the last test has ended, none of these may have been seen in any of those.
/// </summary>
[SetUpFixture]
public sealed class SecretSweep
{
    private static readonly ConcurrentDictionary<string, bool> s_secrets = new();
    private static readonly ConcurrentBag<string> s_seen = [];

    private readonly ActivityListener _activities = new()
    {
        ShouldListenTo = static _ => true,
        Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
        ActivityStopped = static activity => Note(
            $"{activity.DisplayName} {string.Join(' ', activity.TagObjects)} {string.Join(' ', activity.Baggage)} {activity.StatusDescription} " +
            string.Join(' ', activity.Events.Select(static e => $"{e.Name} {string.Join(' ', e.Tags)}"))),
    };

    /// <summary>Makes a text known as a secret, and returns it.</summary>
    public static string Secret(string text)
    {
        s_secrets[text] = true;
        return text;
    }

    /// <summary>A secret that nothing else looks like.</summary>
    public static string NewSecret(string kind) => Secret($"{kind}-{Guid.NewGuid():N}");

    public static void Note(string seen) => s_seen.Add(seen);

    /// <summary>The provider that sees what an application logs.</summary>
    public static ILoggerProvider LoggerProvider() => new Provider(Note);

    [OneTimeSetUp]
    public void Listen() => ActivitySource.AddActivityListener(_activities);

    [OneTimeTearDown]
    public void Nothing_that_was_logged_or_traced_holds_a_secret()
    {
        _activities.Dispose();
        string[] leaks = [.. s_seen
            .SelectMany(seen => s_secrets.Keys.Where(s => seen.Contains(s, StringComparison.OrdinalIgnoreCase)).Select(s => $"{s[..4]}… in: {seen}"))
            .Take(10)];
        Assert.That(leaks, Is.Empty, $"{s_seen.Count} entries were searched for {s_secrets.Count} secrets.");
    }

    /// <summary>A logger provider that turns everything an entry holds into text.</summary>
    internal sealed class Provider(Action<string> note) : ILoggerProvider, ISupportExternalScope
    {
        private readonly Action<string> _note = note;
        private IExternalScopeProvider _scopes = new LoggerExternalScopeProvider();

        public ILogger CreateLogger(string categoryName) => new Logger(categoryName, this);

        public void SetScopeProvider(IExternalScopeProvider scopeProvider) => _scopes = scopeProvider;

        public void Dispose()
        {
        }

        private static string Show(object? state) => state is IEnumerable<KeyValuePair<string, object?>> values
            ? $"{state} {string.Join(' ', values.Select(static v => $"{v.Key}={v.Value}"))}"
            : $"{state}";

        private sealed class Logger(string category, Provider provider) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => provider._scopes.Push(state);

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(
                LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                var text = new System.Text.StringBuilder($"[{logLevel}] {category}[{eventId.Id}] {formatter(state, exception)} {Show(state)} {exception}");
                provider._scopes.ForEachScope(static (scope, text) => text.Append(" => ").Append(Show(scope)), text);
                provider._note(text.ToString());
            }
        }
    }
}
