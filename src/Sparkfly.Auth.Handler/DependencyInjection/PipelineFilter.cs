using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>Has the last word on each pipeline: one handler of ours on a client, and the token request's own handler on its client.</summary>
/// <remarks>
/// The accounts are asked for late: the factory of clients needs every filter, and what configures an account's options may need the
/// factory, to fetch a key from a vault, say.
/// </remarks>
internal sealed class PipelineFilter(
    IServiceProvider services, IEnumerable<AccountRegistration> registrations, ILoggerFactory loggerFactory) : IHttpMessageHandlerBuilderFilter
{
    private readonly Dictionary<string, string> _accountsByAuthClient =
        registrations.Select(static r => r.Name).Distinct().ToDictionary(SparkflyAuthClient.ClientName);

    public Action<HttpMessageHandlerBuilder> Configure(Action<HttpMessageHandlerBuilder> next) => builder =>
    {
        next(builder);
        IList<DelegatingHandler> handlers = builder.AdditionalHandlers;
        bool isAuthClient = _accountsByAuthClient.TryGetValue(builder.Name ?? "", out string? account);

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
            SparkflyAccount own = services.GetRequiredService<SparkflyAccounts>().Get(account!);
            handlers.Insert(0, new TokenRequestHandler(own, loggerFactory.CreateLogger(Log.Category)));
        }
    };
}
