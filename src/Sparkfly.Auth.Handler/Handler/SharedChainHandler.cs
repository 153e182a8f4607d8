namespace Sparkfly.Auth.Handler;

/// <summary>
/// Our place in a chain of handlers that the application uses as its primary handler: the last one before the network. The application may share the
/// chain between clients, so a request that comes here continues with its own client's handler, or past it where its client has none.
/// </summary>
internal sealed class SharedChainHandler : DelegatingHandler
{
    // On the message too: a handler of the chain may send it from another flow, and the caller may have suppressed the execution context.
    private static readonly HttpRequestOptionsKey<IInnermostHandler> s_key = new("Sparkfly.Auth.Handler.Innermost");

    private readonly AsyncLocal<IInnermostHandler?> _current = new();

    /// <summary>Finds our place in the chain, or takes the last one that is free.</summary>
    /// <returns>Null where every handler of the chain has sent requests already, so that nothing can be inserted.</returns>
    public static SharedChainHandler? In(DelegatingHandler chain)
    {
        // Two clients that share the chain may be built at one time.
        lock (chain)
        {
            var handlers = new Stack<DelegatingHandler>();
            for (HttpMessageHandler? handler = chain; handler is DelegatingHandler { InnerHandler: { } inner } outer; handler = inner)
            {
                if (outer is SharedChainHandler found)
                {
                    return found;
                }

                handlers.Push(outer);
            }

            foreach (DelegatingHandler above in handlers)
            {
                try
                {
                    HttpMessageHandler below = above.InnerHandler!;
                    var place = new SharedChainHandler { InnerHandler = below };
                    above.InnerHandler = place;
                    return place;
                }
                catch (InvalidOperationException)
                {
                    // It has sent requests already: one further out.
                }
            }

            return null;
        }
    }

    /// <summary>The outermost handler of a client over this chain: what is sent through it comes here to <paramref name="innermost"/>.</summary>
    /// <param name="innermost">The client's handler of ours; null where it has none.</param>
    public DelegatingHandler EntranceFor(IInnermostHandler? innermost) => new Entrance(this, innermost);

    /// <inheritdoc/>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        Innermost(request) is { } innermost ? innermost.SendAsync(request, cancellationToken) : base.SendAsync(request, cancellationToken);

    /// <inheritdoc/>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
        Innermost(request) is { } innermost ? innermost.Send(request, cancellationToken) : base.Send(request, cancellationToken);

    private IInnermostHandler? Innermost(HttpRequestMessage request) =>
        RequestOptionsPeek.Of(request) is { } options && options.TryGetValue(s_key.Key, out object? noted) ? (IInnermostHandler?)noted : _current.Value;

    private sealed class Entrance(SharedChainHandler place, IInnermostHandler? innermost) : DelegatingHandler
    {
        // Async methods, which give the caller its own execution context back.
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            place._current.Value = innermost;
            Note(request);
            try
            {
                return await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                Forget(request);
            }
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            IInnermostHandler? former = place._current.Value;
            place._current.Value = innermost;
            Note(request);
            try
            {
                return base.Send(request, cancellationToken);
            }
            finally
            {
                place._current.Value = former;
                Forget(request);
            }
        }

        private void Note(HttpRequestMessage request)
        {
            if (innermost is not null)
            {
                request.Options.Set(s_key, innermost);
            }
        }

        private void Forget(HttpRequestMessage request)
        {
            if (innermost is not null)
            {
                ((IDictionary<string, object?>)request.Options).Remove(s_key.Key);
            }
        }
    }
}
