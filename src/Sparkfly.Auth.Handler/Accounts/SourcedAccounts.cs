using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The accounts that an <see cref="ISparkflyAccountSource"/> has found, by name. Each name is asked for by one question at a time, on the thread
/// pool, which outlives the callers that wait for it. Thread-safe.
/// </summary>
[DebuggerDisplay("{Count} accounts")]
internal sealed class SourcedAccounts(
    IServiceScopeFactory scopes,
    IEnumerable<IValidateOptions<SparkflyAuthOptions>> validators,
    Func<SparkflyAccount, SparkflyTokenProvider> newTokens,
    TimeProvider time,
    ILogger logger,
    CancellationToken disposing)
{
    // Changes are taken up within the latter time. Between the two the question is asked in the background; after it, requests wait for the answer.
    private static readonly TimeSpan s_askedAgain = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan s_kept = TimeSpan.FromMinutes(5);

    // A source that has failed is not asked by every request.
    private static readonly TimeSpan s_askedAgainAfterFailure = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_longestQuestion = TimeSpan.FromSeconds(30);

    // Longer than any backoff, which goes with the account. Its token stays in the IMemoryCache, for when it comes back.
    private static readonly TimeSpan s_outOfUse = TimeSpan.FromHours(1);

    // Read without the lock where an account is kept; everything is changed under it.
    private readonly ConcurrentDictionary<string, Entry> _entries = new();
    private readonly Lock _lock = new();
    private long _sweptAt = time.GetTimestamp();

    /// <summary>How many names are kept, or asked for.</summary>
    public int Count => _entries.Count;

    /// <summary>Gets the account where it was found lately; null where it has to be asked for. An answer that ages is asked for in the background.</summary>
    public SparkflyAccount? Kept(string name)
    {
        if (!_entries.TryGetValue(name, out Entry? entry) || entry.Known is not { } known || time.GetElapsedTime(known.At) is var age && age >= s_kept)
        {
            return null;
        }

        if (age >= known.AskedAgain)
        {
            _ = Ask(name);
        }

        return known.Account;
    }

    /// <summary>Asks for an account, or waits for the question that is on its way.</summary>
    /// <returns>Null where the source knows no such account.</returns>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    /// <exception cref="ObjectDisposedException">The service provider was disposed.</exception>
    public async Task<SparkflyAccount?> FindAsync(string name, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Outcome outcome = await Ask(name).WaitAsync(cancellationToken).ConfigureAwait(false);
        return outcome.Problem is { } problem ? throw problem() : outcome.Account;
    }

    private Task<Outcome> Ask(string name)
    {
        lock (_lock)
        {
            Entry entry = _entries.GetOrAdd(name, static _ => new Entry());
            if (entry.Question is { } running)
            {
                return running.Task;
            }

            if (entry.Known is { } known && time.GetElapsedTime(known.At) < known.AskedAgain)
            {
                // This caller is late: the answer has come since it looked.
                return Task.FromResult(new Outcome(known.Account, null, IsChanged: false));
            }

            // Asynchronous continuations, so that no caller's code runs in the question's. Without the caller's execution context: its scopes
            // and AsyncLocals are none of the question's business, whose answer serves others.
            var question = entry.Question = new TaskCompletionSource<Outcome>(TaskCreationOptions.RunContinuationsAsynchronously);
            ThreadPool.UnsafeQueueUserWorkItem(static ask => _ = ask.Self.AnswerAsync(ask.Name, ask.Entry), (Self: this, Name: name, Entry: entry), preferLocal: false);
            return question.Task;
        }
    }

    private async Task AnswerAsync(string name, Entry entry)
    {
        Finding finding = await FindAsync(name).ConfigureAwait(false);
        TaskCompletionSource<Outcome> question;
        Outcome outcome;
        lock (_lock)
        {
            question = entry.Question!;
            entry.Question = null;
            outcome = finding.Settings is { } settings ? Keep_NeedsLock(name, entry, settings) : GoOnWithout_NeedsLock(name, entry, finding.Problem);
            Sweep_NeedsLock();
        }

        try
        {
            // Not under the lock: loggers are the application's.
            Report(name, finding, outcome);
        }
        finally
        {
            question.SetResult(outcome);
        }
    }

    /// <summary>One question. Throws nothing.</summary>
    private async Task<Finding> FindAsync(string name)
    {
        try
        {
            SparkflyAuthOptions? options = await Bounded.RunAsync(
                $"The {nameof(ISparkflyAccountSource)} did not answer within {s_longestQuestion:c}.",
                cancellationToken => AskSourceAsync(name, cancellationToken),
                s_longestQuestion,
                time,
                disposing).ConfigureAwait(false);
            if (options is null)
            {
                return default;
            }

            string[] problems = [.. validators.Select(v => v.Validate(name, options)).SelectMany(static r => r.Failures ?? [])];
            return problems.Length == 0
                ? new Finding(AccountSettings.From(options), null, null)
                : new Finding(null, () => new OptionsValidationException(name, typeof(SparkflyAuthOptions), problems), null);
        }
        catch (Exception) when (disposing.IsCancellationRequested)
        {
            return new Finding(null, static () => new ObjectDisposedException(
                nameof(ISparkflyAccountSource), "The service provider was disposed, which ended the question for an account."), null);
        }
        catch (Exception exception)
        {
            // Without its message, which may hold anything; it is the inner exception.
            string message = $"Sparkfly account '{name}': the application's {nameof(ISparkflyAccountSource)} failed with a {exception.GetType().Name}, " +
                "so that the account is not known. The request was not sent.";
            return new Finding(null, () => new SparkflyAuthenticationException(message, exception) { IsTransient = true }, exception);
        }
    }

    private async Task<SparkflyAuthOptions?> AskSourceAsync(string name, CancellationToken cancellationToken)
    {
        AsyncServiceScope scope = scopes.CreateAsyncScope();
        await using (scope.ConfigureAwait(false))
        {
            return await scope.ServiceProvider.GetRequiredService<ISparkflyAccountSource>().FindAsync(name, cancellationToken).ConfigureAwait(false);
        }
    }

    private Outcome Keep_NeedsLock(string name, Entry entry, AccountSettings settings)
    {
        bool isChanged = false;
        if (entry.Known is { } known)
        {
            isChanged = known.Settings.Take(settings);
        }
        else
        {
            var current = new CurrentSettings();
            current.Take(settings);
            var account = new SparkflyAccount(name, AccountRegistrations.OfSource, current, newTokens);
            known = new Known(account, current, (SparkflyTokenProvider)account.Tokens);
        }

        entry.Known = known with { At = time.GetTimestamp(), AskedAgain = s_askedAgain };
        return new Outcome(known.Account, null, isChanged);
    }

    /// <summary>With no settings: the account is gone where the source says so; else it goes on as it is, where it was known.</summary>
    private Outcome GoOnWithout_NeedsLock(string name, Entry entry, Func<Exception>? problem)
    {
        if (problem is not null && entry.Known is { } known)
        {
            entry.Known = known with { At = time.GetTimestamp(), AskedAgain = s_askedAgainAfterFailure };
            return new Outcome(known.Account, null, IsChanged: false);
        }

        Remove_NeedsLock(name, entry);
        return new Outcome(null, problem, IsChanged: false);
    }

    private void Sweep_NeedsLock()
    {
        // An account in use is asked for again and again, which is why this needs no note of each request.
        if (time.GetElapsedTime(_sweptAt) < s_kept)
        {
            return;
        }

        _sweptAt = time.GetTimestamp();
        foreach ((string name, Entry entry) in _entries)
        {
            if (entry.Question is null && entry.Known is { } known && time.GetElapsedTime(known.At) >= s_outOfUse)
            {
                Remove_NeedsLock(name, entry);
            }
        }
    }

    private void Remove_NeedsLock(string name, Entry entry)
    {
        _entries.TryRemove(name, out _);
        entry.Known?.Tokens.LetGo();
    }

    private void Report(string name, Finding finding, Outcome outcome)
    {
        if (outcome.IsChanged)
        {
            Log.SettingsChanged(logger, name);
        }
        else if (outcome.Account is not null && finding.Problem is { } problem)
        {
            // Nobody else is told: those who wait go on with the account as it was.
            if (finding.Failure is { } failure)
            {
                Log.SourceFailed(logger, name, s_askedAgainAfterFailure, failure);
            }
            else
            {
                Log.InvalidReload(logger, name, problem().Message);
            }
        }
    }

    /// <summary>What one question found: settings, or a problem; neither where the name is unknown.</summary>
    /// <param name="Settings">Valid ones.</param>
    /// <param name="Problem">Makes the exception of each caller that waits.</param>
    /// <param name="Failure">What the source has thrown.</param>
    private readonly record struct Finding(AccountSettings? Settings, Func<Exception>? Problem, Exception? Failure);

    /// <summary>What those who wait are told.</summary>
    private readonly record struct Outcome(SparkflyAccount? Account, Func<Exception>? Problem, bool IsChanged);

    /// <summary>An account that was found.</summary>
    private sealed record Known(SparkflyAccount Account, CurrentSettings Settings, SparkflyTokenProvider Tokens)
    {
        /// <summary>When the source was last asked for it.</summary>
        public long At { get; init; }

        /// <summary>How long after that it is asked again.</summary>
        public TimeSpan AskedAgain { get; init; }
    }

    /// <summary>One name: what is known of it, and the question that is on its way.</summary>
    private sealed class Entry
    {
        private volatile Known? _known;

        public Known? Known
        {
            get => _known;
            set => _known = value;
        }

        public TaskCompletionSource<Outcome>? Question { get; set; }
    }
}
