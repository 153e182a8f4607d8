using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>How a client of an instance reaches the service.</summary>
internal enum ChaosClient
{
    /// <summary>In memory, through a handler that sends copies now and then.</summary>
    Copying,

    /// <summary>The same, for another account by the client's own handler.</summary>
    OtherAccount,

    /// <summary>In memory, through the standard resilience handler.</summary>
    Retrying,

    /// <summary>In memory, through the standard hedging handler.</summary>
    Hedging,

    Http1,
    Http2,

    /// <summary>One primary handler with two connections for this client, the next one and the token requests of another account.</summary>
    Bounded,
    BoundedToo,
}

/// <summary>One container: an instance of the application, from its start to its disposal.</summary>
internal sealed class ChaosInstance : IAsyncDisposable
{
    // The factory keeps a pipeline for its lifetime, also when its container has ended. So a long run keeps no more than a short one.
    private static readonly TimeSpan s_pipelineLifetime = TimeSpan.FromSeconds(5);

    // The end of a pipeline is the end of its primary handler, which others may share.
    private static readonly TimeSpan s_sharedPipelineLifetime = Timeout.InfiniteTimeSpan;

    private readonly ChaosTally _tally;
    private readonly ChaosTraffic _traffic;
    private readonly ServiceProvider _services;
    private readonly SocketsHttpHandler _bounded;
    private readonly Dictionary<ChaosCredentials, ChaosLedger> _ledgers = [];
    private volatile bool _isEnding;

    /// <param name="name">Its name on token requests.</param>
    /// <param name="accounts">Its accounts; several may have the same credentials.</param>
    /// <param name="clock">Its own clock.</param>
    /// <param name="newLedger">Makes the ledger of one of its credentials.</param>
    /// <param name="service">What it calls.</param>
    /// <param name="wires">How.</param>
    /// <param name="tally">Counts what is injected.</param>
    /// <param name="register">What else it registers.</param>
    public ChaosInstance(
        string name,
        IReadOnlyDictionary<string, ChaosCredentials> accounts,
        TimeProvider clock,
        Func<ChaosCredentials, ChaosLedger> newLedger,
        ChaosService service,
        ChaosWires wires,
        ChaosTally tally,
        Action<IServiceCollection>? register = null)
    {
        Accounts = accounts;
        _tally = tally;
        _traffic = service.Traffic;
        _bounded = wires.Http1();
        _bounded.MaxConnectionsPerServer = 2;

        var services = new ServiceCollection();
        services.AddSingleton(clock);
        services.AddLogging(static logging => logging.SetMinimumLevel(LogLevel.None));
        foreach ((string account, ChaosCredentials credentials) in accounts)
        {
            bool isBounded = credentials.Host == ChaosService.OtherHome;
            services.AddSparkflyAuth(account, credentials.Settings).AddResilienceRules().ConfigureAuthClient(auth => auth
                .ConfigureHttpClient(client => client.DefaultRequestHeaders.Add(ChaosService.InstanceHeader, name))
                .ConfigurePrimaryHttpMessageHandler(() => isBounded ? _bounded : wires.InMemory())
                .SetHandlerLifetime(isBounded ? s_sharedPipelineLifetime : s_pipelineLifetime));
            if (!_ledgers.ContainsKey(credentials))
            {
                service.Add(name, _ledgers[credentials] = newLedger(credentials));
            }
        }

        foreach (ChaosClient client in Enum.GetValues<ChaosClient>())
        {
            AddClient(services, client, wires);
        }

        register?.Invoke(services);
        _services = services.BuildServiceProvider();
    }

    /// <summary>The accounts by name.</summary>
    public IReadOnlyDictionary<string, ChaosCredentials> Accounts { get; }

    /// <summary>Whether it is being disposed of, or was.</summary>
    public bool IsEnding => _isEnding;

    public HttpClient Client(ChaosClient client) => _services.GetRequiredService<IHttpClientFactory>().CreateClient($"{client}");

    public ChaosLedger LedgerOf(ChaosCredentials credentials) => _ledgers[credentials];

    /// <summary>Ends the container, whatever is in flight.</summary>
    public async ValueTask DisposeAsync()
    {
        _isEnding = true;
        await _services.DisposeAsync();
        foreach (ChaosLedger ledger in _ledgers.Values)
        {
            ledger.End();
        }
    }

    private void AddClient(IServiceCollection services, ChaosClient kind, ChaosWires wires)
    {
        IHttpClientBuilder client = services.AddHttpClient($"{kind}").RemoveAllLoggers().SetHandlerLifetime(s_pipelineLifetime)
            .AddSparkflyAuthHandler(kind == ChaosClient.OtherAccount ? "other" : "");
        switch (kind)
        {
            case ChaosClient.Copying or ChaosClient.OtherAccount:
                client.AddHttpMessageHandler(NewCopyingHandler).ConfigurePrimaryHttpMessageHandler(wires.InMemory);
                break;
            case ChaosClient.Retrying:
                client.AddStandardResilienceHandler(static options =>
                {
                    options.Retry.DelayGenerator = static _ => ValueTask.FromResult<TimeSpan?>(TimeSpan.Zero);
                    options.CircuitBreaker.FailureRatio = 0.9;
                });
                client.ConfigurePrimaryHttpMessageHandler(wires.InMemory);
                break;
            case ChaosClient.Hedging:
                client.AddStandardHedgingHandler().Configure(static options => options.Endpoint.CircuitBreaker.FailureRatio = 0.9);
                client.ConfigurePrimaryHttpMessageHandler(wires.InMemory);
                break;
            case ChaosClient.Http2:
                client.ConfigurePrimaryHttpMessageHandler(wires.Http2);
                break;
            case ChaosClient.Bounded or ChaosClient.BoundedToo:
                client.ConfigurePrimaryHttpMessageHandler(() => _bounded).SetHandlerLifetime(s_sharedPipelineLifetime);
                break;
            default:
                client.ConfigurePrimaryHttpMessageHandler(wires.Http1);
                break;
        }

        // The last one above ours.
        client.AddHttpMessageHandler(NewHandlerAbove);
    }

    /// <summary>Now and then it sends a copy without the options, which name the account.</summary>
    private InlineHandler NewCopyingHandler() => new((request, send) =>
    {
        if (request.RequestUri!.Query[^1] is not ('7' or '8'))
        {
            return send(request);
        }

        _tally.Count(request.Options.Any() ? "copied, account and all lost" : "copied");
        return send(new HttpRequestMessage(request.Method, request.RequestUri) { Content = request.Content });
    });

    /// <summary>Tells apart what a handler above sends more than once, and must not see a token.</summary>
    private InlineHandler NewHandlerAbove() => new(async (request, send) =>
    {
        string attempt = _traffic.NewAttempt();
        request.Headers.Remove(ChaosTraffic.AttemptHeader);
        request.Headers.Add(ChaosTraffic.AttemptHeader, attempt);
        CheckUnseen(request, "before");
        try
        {
            return await send(request);
        }
        finally
        {
            CheckUnseen(request, "after");
            _traffic.Attempts.TryRemove(attempt, out _);
        }
    });

    private void CheckUnseen(HttpRequestMessage request, string when)
    {
        if (InMemorySparkfly.TokenOf(request) is not null)
        {
            _tally.Problem($"a handler above has seen a token {when} the request was sent");
        }
    }
}
