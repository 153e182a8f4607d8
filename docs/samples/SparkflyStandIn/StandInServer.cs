using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace SparkflyStandIn;

/// <summary>A local Sparkfly on a real socket: its token request, an endpoint that needs a token, and the traps of the real one.</summary>
/// <remarks>
/// Source of the wire facts: Sparkfly's AuthenticationApi description and API guide. The traps are a <c>Date</c> that no HTTP date parser
/// takes, a <c>Cache-Control</c> that says nothing of the token, and session cookies.
/// </remarks>
public sealed class StandInServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<string, bool> _tokens = new();
    private int _tokenRequests;
    private int _apiRequests;

    private StandInServer(StandInOptions options)
    {
        Options = options;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Loopback, options.Port, listen => listen.Protocols = options.Protocols);
        });
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    /// <summary>Gets what the stand-in is like: the credentials that it accepts, among others.</summary>
    public StandInOptions Options { get; }

    /// <summary>Gets the address to configure as Sparkfly's: <c>http://127.0.0.1:port/v1.0/</c>.</summary>
    public Uri BaseAddress { get; private set; } = null!;

    /// <summary>Gets how many token requests have come.</summary>
    public int TokenRequests => Volatile.Read(ref _tokenRequests);

    /// <summary>Gets how many other requests have come.</summary>
    public int ApiRequests => Volatile.Read(ref _apiRequests);

    /// <summary>Gets or sets what answers a token request in place of the regular answer, where it returns true.</summary>
    public Func<HttpContext, Task<bool>>? OnTokenRequest { get; set; }

    /// <summary>Gets or sets what answers any other request in place of the regular answer, where it returns true.</summary>
    public Func<HttpContext, Task<bool>>? OnApiRequest { get; set; }

    /// <summary>Gets or sets what is told of each token that is given out.</summary>
    public Action<string>? TokenIssued { get; set; }

    /// <summary>Starts a server; it listens when the task is complete.</summary>
    public static async Task<StandInServer> StartAsync(StandInOptions? options = null)
    {
        var server = new StandInServer(options ?? new StandInOptions());
        await server._app.StartAsync();
        server.BaseAddress = new Uri(new Uri(server._app.Urls.Single()), "/v1.0/");
        return server;
    }

    /// <summary>Makes every token given out so far a bad one, as Sparkfly may at any time.</summary>
    public void RevokeTokens() => _tokens.Clear();

    /// <summary>Whether this is a token that was given out and not revoked.</summary>
    public bool IsGood(string? token) => token is not null && _tokens.ContainsKey(token);

    /// <summary>Gives out a token, as the answer to a token request does.</summary>
    public string IssueToken()
    {
        // 64 hex digits, as seen in the wild.
        string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        _tokens[token] = true;
        TokenIssued?.Invoke(token);
        return token;
    }

    /// <summary>Answers a token request well: 204, an empty body, the token in a header.</summary>
    public void AnswerWithToken(HttpContext context)
    {
        AddTraps(context.Response);
        context.Response.Headers["X-Auth-Token"] = IssueToken();
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.Zero);
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    /// <summary>Runs until the application is asked to end.</summary>
    internal Task WaitForShutdownAsync() => _app.WaitForShutdownAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        PathString path = context.Request.Path;
        if (path == "/standin/revoke" && HttpMethods.IsPost(context.Request.Method))
        {
            RevokeTokens();
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
        else if (path == Options.AuthPath)
        {
            Interlocked.Increment(ref _tokenRequests);
            if (OnTokenRequest is null || !await OnTokenRequest(context))
            {
                await AnswerTokenRequestAsync(context);
            }
        }
        else
        {
            Interlocked.Increment(ref _apiRequests);
            if (OnApiRequest is null || !await OnApiRequest(context))
            {
                await AnswerApiRequestAsync(context);
            }
        }
    }

    private async Task AnswerTokenRequestAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (!HttpMethods.IsPost(request.Method))
        {
            context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        }
        else if (request.Headers["X-Auth-Identity"] == Options.Identity && request.Headers["X-Auth-Key"] == Options.Key)
        {
            AnswerWithToken(context);
        }
        else
        {
            await AnswerUnauthorizedAsync(context, "Invalid credentials");
        }
    }

    private async Task AnswerApiRequestAsync(HttpContext context)
    {
        if (!IsGood(context.Request.Headers["X-Auth-Token"].ToString()))
        {
            await AnswerUnauthorizedAsync(context, "Invalid authentication token");
            return;
        }

        AddTraps(context.Response);
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(
            """{"offers":[{"id":17,"name":"Free coffee with any bagel"},{"id":18,"name":"Two tacos for one"}]}""", context.RequestAborted);
    }

    private static async Task AnswerUnauthorizedAsync(HttpContext context, string error)
    {
        AddTraps(context.Response);
        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync($$"""{"error": "{{error}}"}""", context.RequestAborted);
    }

    private static void AddTraps(HttpResponse response)
    {
        response.Headers.Date = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        response.Headers.CacheControl = "max-age=0, private, must-revalidate";
        response.Headers["X-Ua-Compatible"] = "IE=Edge,chrome=1";
        response.Headers.SetCookie = $"_session_id={Guid.NewGuid():N}; path=/; HttpOnly";
    }
}

/// <summary>What a stand-in is to be like.</summary>
public sealed record StandInOptions
{
    /// <summary>Gets the account id that is accepted.</summary>
    public string Identity { get; init; } = "stand-in-identity";

    /// <summary>Gets the secret key that is accepted.</summary>
    public string Key { get; init; } = "stand-in-secret-key";

    /// <summary>Gets the path of the token request; newer descriptions of the API have it at the root, <c>/auth</c>.</summary>
    public string AuthPath { get; init; } = "/v1.0/auth";

    /// <summary>Gets the port to listen on; zero for any that is free.</summary>
    public int Port { get; init; }

    /// <summary>Gets the protocols to speak.</summary>
    public HttpProtocols Protocols { get; init; } = HttpProtocols.Http1;
}
