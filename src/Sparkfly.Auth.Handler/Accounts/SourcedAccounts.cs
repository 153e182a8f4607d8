using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The accounts that an <see cref="ISparkflyAccountSource"/> has found, by name. One lookup at a time for each name runs on the thread pool, and outlives
/// the callers that wait for it. Thread-safe.
/// </summary>
[DebuggerDisplay("{Count} accounts")]
internal sealed class SourcedAccounts(
    IServiceScopeFactory scopes,
    Lazy<IEnumerable<IValidateOptions<SparkflyAuthOptions>>> validators,
    Func<string, CurrentSettings, SparkflyTokenProvider> newTokens,
    TimeProvider time,
    ILogger logger,
    CancellationToken disposing)
{
    // A fresh account is used as it is. From the first time on it is looked up in the background; after the second, requests wait for the lookup.
    private static readonly TimeSpan s_lookedUpAgainAfter = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan s_freshFor = TimeSpan.FromMinutes(5);

    // A source that has failed is not asked by every request.
    private static readonly TimeSpan s_lookedUpAgainAfterFailure = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_longestLookup = TimeSpan.FromSeconds(30);

    // Longer than any backoff, which ends with the account. Its token stays in the IMemoryCache, for when the account comes back.
    private static readonly TimeSpan s_unusedFor = TimeSpan.FromHours(1);

    // Read without the lock where an account is fresh; changed under it.
    private readonly ConcurrentDictionary<string, Entry> _entries = new();
    private readonly Lock _lock = new();
    private long _sweptAt = time.GetTimestamp();

    /// <summary>The number of names in memory, those included that are being looked up.</summary>
    public int Count => _entries.Count;

    /// <summary>Gets an account: at once where it is fresh, else after a lookup.</summary>
    /// <param name="name">The account's name.</param>
    /// <param name="notRegistered">Says that no account of this name is registered.</param>
    /// <param name="cancellationToken">Ends this wait, not the lookup.</param>
    /// <exception cref="InvalidOperationException">The source knows no such account.</exception>
    /// <exception cref="OptionsValidationException">The account's options are invalid.</exception>
    /// <exception cref="SparkflyAuthenticationException">The source has failed.</exception>
    /// <exception cref="ObjectDisposedException">The service provider was disposed.</exception>
    public ValueTask<SparkflyAccount> GetAsync(string name, Func<string, string> notRegistered, CancellationToken cancellationToken)
    {
        if (!_entries.TryGetValue(name, out Entry? entry) || entry.Found is not { } found || time.GetElapsedTime(found.At) is var age && age >= s_freshFor)
        {
            return new ValueTask<SparkflyAccount>(WaitForLookupAsync(name, notRegistered, cancellationToken));
        }

        if (age >= found.LookedUpAgainAfter)
        {
            _ = LookUp(name);
        }

        return new ValueTask<SparkflyAccount>(found.Account);
    }

    private async Task<SparkflyAccount> WaitForLookupAsync(string name, Func<string, string> notRegistered, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Outcome outcome = await LookUp(name).WaitAsync(cancellationToken).ConfigureAwait(false);
        return outcome.Problem is { } problem ? throw problem()
            : outcome.Account ?? throw new InvalidOperationException($"{notRegistered(name)} The {nameof(ISparkflyAccountSource)} does not know it either.");
    }

    /// <summary>Starts a lookup, or joins the one in flight.</summary>
    private Task<Outcome> LookUp(string name)
    {
        lock (_lock)
        {
            Entry entry = _entries.GetOrAdd(name, static _ => new Entry());
            if (entry.Lookup is { } running)
            {
                return running.Result;
            }

            if (entry.Found is { } found && time.GetElapsedTime(found.At) < found.LookedUpAgainAfter)
            {
                // Another caller's lookup has ended since this caller looked.
                return Task.FromResult(new Outcome(found.Account, null));
            }

            var lookup = entry.Lookup = new SingleFlight<Outcome>();
            lookup.Start(static work => work.Self.LookUpAsync(work.Name, work.Entry), (Self: this, Name: name, Entry: entry));
            return lookup.Result;
        }
    }

    private async Task<Outcome> LookUpAsync(string name, Entry entry)
    {
        Answer answer = await AskAsync(name).ConfigureAwait(false);
        Outcome outcome;
        bool isChanged = false;
        lock (_lock)
        {
            entry.Lookup = null;
            try
            {
                outcome = answer.Settings is { } settings
                    ? Keep_NeedsLock(name, entry, settings, out isChanged)
                    : KeepFormer_NeedsLock(name, entry, answer.Problem);
                Sweep_NeedsLock();
            }
            catch (ObjectDisposedException)
            {
                // The service provider is being disposed, and gives nothing to make an account of. Callers must not wait for ever.
                outcome = new Outcome(null, Disposed);
            }
        }

        try
        {
            // Not under the lock: loggers are the application's.
            Report(name, answer, outcome, isChanged);
        }
        catch (Exception)
        {
            // A logger has thrown. Callers must not wait for ever.
        }

        return outcome;
    }

    /// <summary>Asks the source once. Throws nothing.</summary>
    private async Task<Answer> AskAsync(string name)
    {
        try
        {
            // First: the service provider may be disposed while the source is asked.
            IEnumerable<IValidateOptions<SparkflyAuthOptions>> checks = validators.Value;
            SparkflyAuthOptions? options = await TimeLimit.RunAsync(
                $"The {nameof(ISparkflyAccountSource)} did not answer within {s_longestLookup:c}.",
                cancellationToken => AskSourceAsync(name, cancellationToken),
                s_longestLookup,
                time,
                disposing).ConfigureAwait(false);
            if (options is null)
            {
                return default;
            }

            string[] problems = [.. checks.Select(v => v.Validate(name, options)).SelectMany(static r => r.Failures ?? [])];
            return problems.Length == 0
                ? new Answer(AccountSettings.From(options), null, null)
                : new Answer(null, () => new OptionsValidationException(name, typeof(SparkflyAuthOptions), problems), null);
        }
        catch (Exception) when (disposing.IsCancellationRequested)
        {
            return new Answer(null, Disposed, null);
        }
        catch (Exception exception)
        {
            // Without its message, which may hold anything; it is the inner exception.
            string message = $"{AccountName.Label(name)}: the application's {nameof(ISparkflyAccountSource)} failed with a {exception.GetType().Name}, " +
                "so that the account is not known. The request was not sent.";
            return new Answer(null, () => new SparkflyAuthenticationException(message, exception) { IsTransient = true }, exception);
        }
    }

    private static ObjectDisposedException Disposed() =>
        new(nameof(ISparkflyAccountSource), "The service provider was disposed, which ended the question for an account.");

    private async Task<SparkflyAuthOptions?> AskSourceAsync(string name, CancellationToken cancellationToken)
    {
        AsyncServiceScope scope = scopes.CreateAsyncScope();
        await using (scope.ConfigureAwait(false))
        {
            return await scope.ServiceProvider.GetRequiredService<ISparkflyAccountSource>().FindAsync(name, cancellationToken).ConfigureAwait(false);
        }
    }

    private Outcome Keep_NeedsLock(string name, Entry entry, AccountSettings settings, out bool isChanged)
    {
        isChanged = false;
        if (entry.Found is { } found)
        {
            isChanged = found.Settings.Update(settings);
        }
        else
        {
            var current = new CurrentSettings();
            current.Update(settings);
            SparkflyTokenProvider tokens = newTokens(name, current);
            found = new Found(new SparkflyAccount(name, current, () => tokens), current, tokens);
        }

        entry.Found = found with { At = time.GetTimestamp(), LookedUpAgainAfter = s_lookedUpAgainAfter };
        return new Outcome(found.Account, null);
    }

    /// <summary>Without settings: the account is gone where the source says so; else it stays as it is, where it was found before.</summary>
    private Outcome KeepFormer_NeedsLock(string name, Entry entry, Func<Exception>? problem)
    {
        if (problem is not null && entry.Found is { } found)
        {
            entry.Found = found with { At = time.GetTimestamp(), LookedUpAgainAfter = s_lookedUpAgainAfterFailure };
            return new Outcome(found.Account, null);
        }

        Remove_NeedsLock(name, entry);
        return new Outcome(null, problem);
    }

    private void Sweep_NeedsLock()
    {
        // An account in use is looked up every few minutes, so the time of the last lookup tells.
        if (time.GetElapsedTime(_sweptAt) < s_freshFor)
        {
            return;
        }

        _sweptAt = time.GetTimestamp();
        foreach ((string name, Entry entry) in _entries)
        {
            if (entry.Lookup is null && entry.Found is { } found && time.GetElapsedTime(found.At) >= s_unusedFor)
            {
                Remove_NeedsLock(name, entry);
            }
        }
    }

    private void Remove_NeedsLock(string name, Entry entry)
    {
        _entries.TryRemove(name, out _);
        entry.Found?.Tokens.Retire();
    }

    private void Report(string name, Answer answer, Outcome outcome, bool isChanged)
    {
        if (isChanged)
        {
            Log.SettingsChanged(logger, AccountName.Shown(name));
        }
        else if (outcome.Account is not null && answer.Problem is { } problem)
        {
            // Callers are not told: they go on with the account as it was.
            if (answer.Failure is { } failure)
            {
                Log.SourceFailed(logger, AccountName.Shown(name), s_lookedUpAgainAfterFailure, failure);
            }
            else
            {
                Log.InvalidReload(logger, AccountName.Shown(name), problem().Message);
            }
        }
    }

    /// <summary>What the source answered: settings or a problem; neither where it does not know the name.</summary>
    /// <param name="Settings">Valid settings.</param>
    /// <param name="Problem">Makes the exception of each caller that waits.</param>
    /// <param name="Failure">What the source has thrown.</param>
    private readonly record struct Answer(AccountSettings? Settings, Func<Exception>? Problem, Exception? Failure);

    /// <summary>What callers that wait for a lookup are told.</summary>
    private readonly record struct Outcome(SparkflyAccount? Account, Func<Exception>? Problem);

    /// <summary>An account that was found.</summary>
    private sealed record Found(SparkflyAccount Account, CurrentSettings Settings, SparkflyTokenProvider Tokens)
    {
        /// <summary>When it was last looked up.</summary>
        public long At { get; init; }

        /// <summary>How long after that it is looked up again.</summary>
        public TimeSpan LookedUpAgainAfter { get; init; }
    }

    /// <summary>One name: the account that was found, and the lookup in flight.</summary>
    private sealed class Entry
    {
        private volatile Found? _found;

        public Found? Found
        {
            get => _found;
            set => _found = value;
        }

        public SingleFlight<Outcome>? Lookup { get; set; }
    }
}
