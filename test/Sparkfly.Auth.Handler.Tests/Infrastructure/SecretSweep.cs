using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Sees every log entry (all levels, state and scopes too), every activity and every metric of ours of the whole run, and knows every secret
/// that the tests made up. When the last test has ended, none of these may have been seen in any of those.
/// </summary>
[SetUpFixture]
public sealed class SecretSweep
{
    /// <summary>A trace in this state is one that nobody listens to, the sweep included.</summary>
    public const string UnlistenedTraceState = "listeners=none";

    // How long a secret is at least.
    private const int StartLength = 8;

    private const int PieceLength = 1 << 20;
    private const char EntryEnd = '\0';

    private static readonly AsyncLocal<bool> s_isNotListening = new();
    private static readonly ConcurrentDictionary<string, bool> s_secrets = new();

    // An entry after the other, in pieces that garbage collections do not move: they would look at each of millions of strings.
    private static readonly Stack<StringBuilder> s_seen = new([new StringBuilder(PieceLength)]);
    private static readonly ConditionalWeakTable<Exception, string> s_texts = [];

    private readonly ActivityListener _activities = new()
    {
        ShouldListenTo = static _ => true,
        Sample = static (ref ActivityCreationOptions<ActivityContext> options) => options.Parent.TraceState == UnlistenedTraceState || s_isNotListening.Value
            ? ActivitySamplingResult.None
            : ActivitySamplingResult.AllDataAndRecorded,
        ActivityStopped = static activity =>
        {
            // One that only another listener wanted comes here too.
            if (activity.TraceStateString != UnlistenedTraceState)
            {
                NoteUnlessDeaf(
                    $"{activity.DisplayName} {string.Join(' ', activity.TagObjects)} {string.Join(' ', activity.Baggage)} {activity.StatusDescription} " +
                    string.Join(' ', activity.Events.Select(static e => $"{e.Name} {string.Join(' ', e.Tags)}")));
            }
        },
    };

    private readonly MeterListener _metrics = MetricListener(NoteUnlessDeaf);

    /// <summary>Makes a text known as a secret, and returns it.</summary>
    public static string Secret(string text)
    {
        s_secrets[text] = true;
        return text;
    }

    /// <summary>A secret that nothing else looks like.</summary>
    public static string NewSecret(string kind) => Secret($"{kind}-{Guid.NewGuid():N}");

    /// <summary>
    /// Takes no part in the activities of this flow, nor in its measurements and exceptions, until what is returned is disposed of: for a test that looks
    /// itself.
    /// </summary>
    public static IDisposable ListenToNothing() => new Deafness();

    public static void Note(string seen)
    {
        if (LeftBehind.IsIgnored)
        {
            return;
        }

        lock (s_seen)
        {
            if (s_seen.Peek().Length + seen.Length >= PieceLength)
            {
                s_seen.Push(new StringBuilder(PieceLength));
            }

            s_seen.Peek().Append(seen).Append(EntryEnd);
        }
    }

    private static void NoteUnlessDeaf(string seen)
    {
        if (!s_isNotListening.Value)
        {
            Note(seen);
        }
    }

    /// <summary>The provider that sees what an application logs.</summary>
    /// <param name="note">Is told of each entry too.</param>
    public static ILoggerProvider LoggerProvider(Action<string>? note = null) => new Provider((Action<string>)Note + note);

    /// <summary>What sees the measurements of our meter, whichever container's it is, tags and all; to be started.</summary>
    internal static MeterListener MetricListener(Action<string> note)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, listener) =>
            {
                if (instrument.Meter.Name == "Sparkfly.Auth.Handler")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => note(Show(instrument, value, tags)));
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => note(Show(instrument, value, tags)));
        return listener;

        static string Show<T>(Instrument instrument, T value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
            $"{instrument.Name} {value} {string.Join(' ', [.. tags, .. instrument.Tags ?? [], .. instrument.Meter.Tags ?? []])}";
    }

    [OneTimeSetUp]
    public void Listen()
    {
        ActivitySource.AddActivityListener(_activities);
        _metrics.Start();
        if (!LeftBehind.IsIgnored)
        {
            AppDomain.CurrentDomain.FirstChanceException += NoteOurs;
        }
    }

    [OneTimeTearDown]
    public void Nothing_that_was_logged_traced_or_measured_holds_a_secret()
    {
        AppDomain.CurrentDomain.FirstChanceException -= NoteOurs;
        _activities.Dispose();
        _metrics.Dispose();
        lock (s_seen)
        {
            string[] leaks = [.. Leaks(s_seen.SelectMany(static piece => piece.ToString().Split(EntryEnd)), s_secrets.Keys).Take(10)];
            Assert.That(leaks, Is.Empty, $"{s_seen.Sum(static piece => (long)piece.Length)} characters were searched for {s_secrets.Count} secrets.");
        }
    }

    /// <summary>What was seen that holds a secret.</summary>
    internal static IEnumerable<string> Leaks(IEnumerable<string> seen, IEnumerable<string> secrets)
    {
        // By their first characters, so that each text is read once, and not once for each of thousands of secrets.
        ILookup<int, string> byStart = secrets.ToLookup(static s => Hash(s));
        return seen.Distinct().AsParallel().SelectMany(text => LeaksOf(text).Distinct());

        IEnumerable<string> LeaksOf(string text)
        {
            for (int i = 0; i <= text.Length - StartLength; i++)
            {
                int hash = Hash(text.AsSpan(i));
                if (byStart.Contains(hash))
                {
                    foreach (string secret in byStart[hash].Where(s => text.AsSpan(i).StartsWith(s, StringComparison.OrdinalIgnoreCase)))
                    {
                        yield return $"{secret[..4]}… in: {text}";
                    }
                }
            }
        }

        static int Hash(ReadOnlySpan<char> text) => string.GetHashCode(text[..StartLength], StringComparison.OrdinalIgnoreCase);
    }

    // Every exception that the package throws, also those that nobody looks at. Not what tests throw into it: they may hold anything.
    private static void NoteOurs(object? sender, FirstChanceExceptionEventArgs args)
    {
        if (s_isNotListening.Value || args.Exception is OperationCanceledException)
        {
            return;
        }

        // Nor the binder's, which repeats a value that does not fit: its code is generated into the package.
        Type? thrower = args.Exception.TargetSite?.DeclaringType;
        bool isBinders = thrower?.FullName?.StartsWith("Microsoft.Extensions.Configuration.Binder", StringComparison.Ordinal) == true;
        if (args.Exception is SparkflyAuthenticationException || (thrower?.Assembly == typeof(SparkflyAuthHandler).Assembly && !isBinders))
        {
            Note(Text(args.Exception));
        }
    }

    // An exception once only: its stack trace, which takes long to show, grows with each method that it leaves, but holds no values.
    private static string Text(object? value) => value is Exception exception ? s_texts.GetValue(exception, static e => e.ToString()) : $"{value}";

    private sealed class Deafness : IDisposable
    {
        public Deafness() => s_isNotListening.Value = true;

        public void Dispose() => s_isNotListening.Value = false;
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
            ? $"{state} {string.Join(' ', values.Select(static v => $"{v.Key}={Text(v.Value)}"))}"
            : $"{state}";

        private sealed class Logger(string category, Provider provider) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => provider._scopes.Push(state);

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(
                LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                var text = new StringBuilder($"[{logLevel}] {category}[{eventId.Id}] {formatter(state, exception)} {Show(state)} {Text(exception)}");
                provider._scopes.ForEachScope(static (scope, text) => text.Append(" => ").Append(Show(scope)), text);
                provider._note(text.ToString());
            }
        }
    }
}
