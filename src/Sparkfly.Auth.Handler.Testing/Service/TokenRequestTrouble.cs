namespace Sparkfly.Auth.Handler.Testing;

/// <summary>What token requests meet in place of their answer: a failure, or a wait. Thread-safe.</summary>
internal sealed class TokenRequestTrouble
{
    private readonly Lock _lock = new();
    private Trouble? _trouble;
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Sets what the next token requests meet, and those that wait.</summary>
    /// <param name="times">How many token requests are affected; null for all.</param>
    /// <param name="answer">Makes their response; null lets them wait.</param>
    public void Set(int? times, Func<HttpResponseMessage>? answer)
    {
        if (times is { } number)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(number, 1, nameof(times));
        }

        Change(new Trouble(answer) { Left = times });
    }

    /// <summary>Ends it, also for the token requests that wait.</summary>
    public void End() => Change(null);

    /// <summary>A token request's response; null where all is well. Waits while token requests are to wait.</summary>
    public async Task<HttpResponseMessage?> MeetAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Trouble? trouble;
            Task changed;
            lock (_lock)
            {
                trouble = Take_NeedsLock();
                changed = _changed.Task;
            }

            if (trouble is null)
            {
                return null;
            }

            if (trouble.Answer is { } answer)
            {
                return answer();
            }

            await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private void Change(Trouble? trouble)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            _trouble = trouble;
            (changed, _changed) = (_changed, NewSignal());
        }

        // Token requests that wait look again.
        changed.SetResult();
    }

    private Trouble? Take_NeedsLock()
    {
        if (_trouble is not { Left: not 0 } trouble)
        {
            return null;
        }

        trouble.Left--;
        return trouble;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class Trouble(Func<HttpResponseMessage>? answer)
    {
        public Func<HttpResponseMessage>? Answer => answer;

        public int? Left { get; set; }
    }
}
