using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A Sparkfly on a socket that records every request, and the sequence that each host runs against it.</summary>
internal sealed class ObservedSparkfly : IAsyncDisposable
{
    // The default shutdown timeout of a host is 30 seconds: a host that needs it waits for something that does not end.
    private static readonly TimeSpan s_stopTime = TimeSpan.FromSeconds(20);

    private readonly ConcurrentQueue<string> _tokens = new();
    private readonly ConcurrentQueue<Seen> _tokenRequests = new();
    private readonly ConcurrentQueue<Seen> _apiRequests;

    private ObservedSparkfly(StandInServer server)
    {
        Server = server;
        server.TokenIssued = token => _tokens.Enqueue(SecretSweep.Secret(token));
        server.OnTokenRequest = async context =>
        {
            _tokenRequests.Enqueue(await Seen.OfAsync(context));
            return false;
        };
        _apiRequests = server.Record(static context =>
        {
            bool isBroken = context.Request.Path.Value!.EndsWith("/broken", StringComparison.Ordinal);
            context.Response.StatusCode = isBroken ? StatusCodes.Status500InternalServerError : StatusCodes.Status200OK;
            return isBroken;
        });
    }

    public StandInServer Server { get; }

    /// <summary>The tokens in the order in which they were issued.</summary>
    public IReadOnlyList<string> Tokens => [.. _tokens];

    public IReadOnlyList<Seen> TokenRequests => [.. _tokenRequests];

    public IReadOnlyList<Seen> ApiRequests => [.. _apiRequests];

    /// <summary>The account as configuration.</summary>
    public Dictionary<string, string?> Settings => new()
    {
        ["Sparkfly:BaseAddress"] = Server.BaseAddress.AbsoluteUri,
        ["Sparkfly:Identity"] = Server.Options.Identity,
        ["Sparkfly:Key"] = Server.Options.Key,
    };

    public static async Task<ObservedSparkfly> StartAsync() => new(await Sparkfly.StartAsync());

    /// <summary>Registers the account in code, and a client "api" that calls it.</summary>
    public void AddTo(IServiceCollection services, bool isHandlerInDefaults = false)
    {
        services.AddSparkflyAuth(options => options.Use(Server));
        AddClient(services, isHandlerInDefaults);
    }

    /// <summary>Registers a client "api" of the default account.</summary>
    public void AddClient(IServiceCollection services, bool isHandlerInDefaults = false)
    {
        IHttpClientBuilder api = services.AddHttpClient("api");
        if (isHandlerInDefaults)
        {
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
            api.ConfigureHttpClient(http => http.BaseAddress = Server.BaseAddress);
        }
        else
        {
            api.AddSparkflyAuthHandler();
        }
    }

    /// <summary>Starts the host, calls Sparkfly, renews after a revocation, and stops the host.</summary>
    public async Task RunAsync(Func<IHost> build, Func<IHost, Task>? beforeStop = null)
    {
        // On a thread of its own: a cycle between services hangs.
        using IHost host = await Task.Factory.StartNew(build, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)
            .WaitAsync(TestApp.Patience);
        await host.StartAsync().WaitAsync(TestApp.Patience);
        await CallAndRenewAsync(host.Services);
        if (beforeStop is not null)
        {
            await beforeStop(host);
        }

        await host.StopAsync().WaitAsync(s_stopTime);
    }

    /// <summary>Calls with the client "api".</summary>
    public async Task CallAndRenewAsync(IServiceProvider services)
    {
        using HttpClient client = services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        await CallAndRenewAsync(() => client.GetAsync(new Uri("offers", UriKind.Relative)));
    }

    /// <summary>Calls twice with one token, and once more after a revocation: two <c>POST</c>s, and a token on every request.</summary>
    public async Task CallAndRenewAsync(Func<Task<HttpResponseMessage>> call)
    {
        HttpStatusCode first = await StatusAsync(call);
        HttpStatusCode second = await StatusAsync(call);
        int cold = Server.TokenRequests;
        Server.RevokeTokens();
        HttpStatusCode third = await StatusAsync(call);

        Assert.That((first, second, third), Is.EqualTo((HttpStatusCode.OK, HttpStatusCode.OK, HttpStatusCode.OK)));
        Assert.That((cold, Server.TokenRequests), Is.EqualTo((1, 2)), "POSTs before and after the revocation");
        Assert.That(ApiRequests.Select(static r => r.Token), Is.EqualTo((string[])[Tokens[0], Tokens[0], Tokens[0], Tokens[1]]));
        Assert.That(TokenRequests.Select(static r => r.Token), Has.All.Null);
    }

    /// <summary>No identity, key or token is in anything that an agent sent, and the given text is: something was sent.</summary>
    public void AssertNoSecretIn(IEnumerable<Seen> requests, string expected)
    {
        string[] sent = [.. requests.Select(static r => $"{r} {Encoding.Latin1.GetString(Convert.FromHexString(r.Body))}")];

        Assert.That(sent, Has.Some.Contains(expected), "or the agent did not see what the test is about");
        Assert.That(SecretSweep.Leaks(sent, [Server.Options.Identity, Server.Options.Key, .. Tokens]), Is.Empty);
    }

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    private static async Task<HttpStatusCode> StatusAsync(Func<Task<HttpResponseMessage>> call)
    {
        using HttpResponseMessage response = await call().WaitAsync(TestApp.Patience);
        return response.StatusCode;
    }
}
