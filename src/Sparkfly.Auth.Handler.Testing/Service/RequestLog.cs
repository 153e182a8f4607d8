namespace Sparkfly.Auth.Handler.Testing;

/// <summary>Requests in the order in which they came, for tests to look at and to wait for. Thread-safe.</summary>
internal sealed class RequestLog
{
    private readonly Lock _lock = new();
    private readonly List<FakeSparkflyRequest> _requests = [];
    private TaskCompletionSource? _grown;

    public IReadOnlyList<FakeSparkflyRequest> Snapshot()
    {
        lock (_lock)
        {
            return [.. _requests];
        }
    }

    public void Add(FakeSparkflyRequest request)
    {
        TaskCompletionSource? grown;
        lock (_lock)
        {
            _requests.Add(request);
            (grown, _grown) = (_grown, null);
        }

        grown?.SetResult();
    }

    public void Clear()
    {
        lock (_lock)
        {
            _requests.Clear();
        }
    }

    public async Task<IReadOnlyList<FakeSparkflyRequest>> ReachesAsync(int count, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task grown;
            lock (_lock)
            {
                if (_requests.Count >= count)
                {
                    return [.. _requests];
                }

                grown = (_grown ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }

            await grown.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
