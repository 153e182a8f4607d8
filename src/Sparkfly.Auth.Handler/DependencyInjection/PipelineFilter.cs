using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Has the last word on each pipeline: one handler of ours on a client, and the token request's own handler on its client.</summary>
internal sealed class PipelineFilter(AccountRegistrations registrations, ILoggerFactory loggerFactory) : IHttpMessageHandlerBuilderFilter
{
    private readonly HashSet<string> _authClients = [.. registrations.Names.Append(AccountRegistrations.OfSource).Select(SparkflyAuthClient.ClientName)];

    public Action<HttpMessageHandlerBuilder> Configure(Action<HttpMessageHandlerBuilder> next) => builder =>
    {
        next(builder);
        IList<DelegatingHandler> handlers = builder.AdditionalHandlers;
        bool isAuthClient = builder.Name is { } name && _authClients.Contains(name);

        // Two would send a request twice for each 401, four times in all. The last is the client's own, after any from defaults.
        DelegatingHandler? last = isAuthClient ? null : handlers.LastOrDefault(static h => h is SparkflyAuthHandler);
        for (int i = handlers.Count - 1; i >= 0; i--)
        {
            if (handlers[i] is SparkflyAuthHandler && !ReferenceEquals(handlers[i], last))
            {
                handlers.RemoveAt(i);
            }
        }

        if (isAuthClient)
        {
            handlers.Insert(0, new TokenRequestHandler(loggerFactory.CreateLogger(Log.Category)));
        }
    };
}
