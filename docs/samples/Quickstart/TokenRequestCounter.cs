namespace Quickstart;

/// <summary>Counts the token requests that are sent.</summary>
internal sealed class TokenRequestCounter
{
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public DelegatingHandler NewHandler() => new CountingHandler(this);

    private sealed class CountingHandler(TokenRequestCounter counter) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref counter._count);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
