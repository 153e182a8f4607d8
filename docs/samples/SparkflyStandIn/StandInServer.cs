using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace SparkflyStandIn;

/// <summary>A local Sparkfly on a real socket: its token request, endpoints that need a token, its errors, and the traps of the real one.</summary>
/// <remarks>
/// Source of the wire facts: docs/sparkfly.md. The traps are a <c>Date</c> that no HTTP date parser takes, a <c>Cache-Control</c> that says nothing of
/// the token, and session cookies.
/// </remarks>
public sealed class StandInServer : IAsyncDisposable
{
    private const string BasePath = "/v1.0";
    private static readonly string[] s_homesOfAuth = ["/auth", $"{BasePath}/auth"];

    private readonly WebApplication _app;

    // Which identity each good token is of.
    private readonly ConcurrentDictionary<string, string> _tokens = new();
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
        server.BaseAddress = new Uri(new Uri(server._app.Urls.Single()), $"{BasePath}/");
        return server;
    }

    /// <summary>Makes every token given out so far a bad one, as Sparkfly may at any time.</summary>
    public void RevokeTokens() => _tokens.Clear();

    /// <summary>Makes every token of one identity a bad one.</summary>
    public void RevokeTokens(string identity)
    {
        foreach (string token in _tokens.Where(t => t.Value == identity).Select(static t => t.Key))
        {
            _tokens.TryRemove(token, out _);
        }
    }

    /// <summary>Whether this is a token that was given out and not revoked.</summary>
    public bool IsGood(string? token) => token is not null && _tokens.ContainsKey(token);

    /// <summary>Gives out a token, as the answer to a token request does.</summary>
    public string IssueToken(string? identity = null)
    {
        // 64 hex digits, as seen in the wild.
        string token = Convert.ToHexString(RandomNumberGenerator.GetBytes(32)).ToLowerInvariant();
        _tokens[token] = identity ?? Options.Identity;
        TokenIssued?.Invoke(token);
        return token;
    }

    /// <summary>Answers a token request well: 204, an empty body, the token in a header.</summary>
    public void AnswerWithToken(HttpContext context)
    {
        AddTraps(context.Response);
        context.Response.Headers["X-Auth-Token"] = IssueToken(context.Request.Headers["X-Auth-Identity"]);
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
        else if (Options.Accepts(request.Headers["X-Auth-Identity"], request.Headers["X-Auth-Key"]))
        {
            AnswerWithToken(context);
        }
        else
        {
            // Sparkfly's own library answers with an empty body, its description has an error.
            bool isEmpty = Options.HasEmptyErrors || !request.Headers.ContainsKey("X-Auth-Identity") || !request.Headers.ContainsKey("X-Auth-Key");
            await AnswerErrorAsync(context, StatusCodes.Status401Unauthorized, isEmpty ? null : new { error = "Invalid credentials" });
        }
    }

    private async Task AnswerApiRequestAsync(HttpContext context)
    {
        PathString path = context.Request.Path;
        bool isGood = IsGood(context.Request.Headers["X-Auth-Token"].ToString());
        if (Options.HasWall && !isGood && path.StartsWithSegments(BasePath, StringComparison.Ordinal))
        {
            // Before anything looks at the path.
            await AnswerErrorAsync(context, StatusCodes.Status401Unauthorized, null);
        }
        else if (!IsThere(path))
        {
            await AnswerErrorAsync(context, StatusCodes.Status404NotFound, new { error = "Not Found", trace = context.TraceIdentifier });
        }
        else if (!isGood)
        {
            await AnswerErrorAsync(
                context, StatusCodes.Status401Unauthorized, Options.HasEmptyErrors ? null : new { error = "Invalid authentication token" });
        }
        else if (Options.Paths is not null && await ProblemAsync(context.Request) is var (status, problem))
        {
            await AnswerErrorAsync(context, status, problem);
        }
        else
        {
            AddTraps(context.Response);
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync(
                """{"offers":[{"id":17,"name":"Free coffee with any bagel"},{"id":18,"name":"Two tacos for one"}]}""", context.RequestAborted);
        }
    }

    private bool IsThere(PathString path) => Options.Paths is { } paths
        ? paths.Any(p => path.StartsWithSegments($"{BasePath}/{p}", StringComparison.Ordinal))
        : !s_homesOfAuth.Contains(path.Value);

    /// <summary>What is wrong with the JSON that came; null where nothing is.</summary>
    private static async Task<(int Status, object Problem)?> ProblemAsync(HttpRequest request)
    {
        if (!request.HasJsonContentType())
        {
            return null;
        }

        try
        {
            using JsonDocument json = await JsonDocument.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted);
            return json.RootElement.ValueKind == JsonValueKind.Object && !json.RootElement.EnumerateObject().Any()
                ? (StatusCodes.Status422UnprocessableEntity, new { errors = new { @base = (string[])["can't be blank"] } })
                : null;
        }
        catch (JsonException exception)
        {
            return (StatusCodes.Status400BadRequest, new { parse_error = exception.Message });
        }
    }

    private static async Task AnswerErrorAsync(HttpContext context, int status, object? body)
    {
        AddTraps(context.Response);
        context.Response.StatusCode = status;
        if (body is not null)
        {
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync(JsonSerializer.Serialize(body), context.RequestAborted);
        }
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

    /// <summary>Gets further accounts that are accepted: the key of each identity.</summary>
    public IReadOnlyDictionary<string, string> Accounts { get; init; } = new Dictionary<string, string>();

    /// <summary>Gets the path of the token request. Sparkfly's OpenAPI description has it at the root, <c>/auth</c>.</summary>
    public string AuthPath { get; init; } = "/v1.0/auth";

    /// <summary>
    /// Gets the API's paths under <c>/v1.0</c>, with what is below each; any other is answered with 404. Null for every path, save the homes of
    /// <c>/auth</c>.
    /// </summary>
    public IReadOnlyList<string>? Paths { get; init; } = ["offers", "members"];

    /// <summary>Gets a value indicating whether a wall stands before the routes: without a good token all under <c>/v1.0</c> is answered with an empty 401.</summary>
    public bool HasWall { get; init; }

    /// <summary>Gets a value indicating whether a 401 has an empty body.</summary>
    public bool HasEmptyErrors { get; init; }

    /// <summary>Gets the port to listen on; zero for any that is free.</summary>
    public int Port { get; init; }

    /// <summary>Gets the protocols to speak.</summary>
    public HttpProtocols Protocols { get; init; } = HttpProtocols.Http1;

    /// <summary>Whether the credentials are those of an account.</summary>
    public bool Accepts(string? identity, string? key) =>
        key is not null && ((identity == Identity && key == Key) || (identity is not null && Accounts.GetValueOrDefault(identity) == key));
}
