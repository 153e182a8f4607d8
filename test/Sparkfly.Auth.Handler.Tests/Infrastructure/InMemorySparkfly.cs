using System.Globalization;
using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Sparkfly.Auth.Handler.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A <see cref="FakeSparkfly"/> for tests that want more than applications' tests do: to look at the very messages and to answer before the fake
/// does, or when they were given up. It stands in the place of the primary handlers, and the settings of its account are configuration that can
/// be reloaded.
/// </summary>
internal sealed class InMemorySparkfly
{
    private const string BaseAddress = "https://sparkfly.test/v1.0";

    private readonly string _tokenPrefix = SecretSweep.NewSecret("token");
    private readonly FakeSparkfly _fake = new();
    private int _issued;

    public InMemorySparkfly()
    {
        Settings = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["BaseAddress"] = BaseAddress,
            ["Identity"] = Identity,
            ["Key"] = SecretSweep.NewSecret("key"),
        }).Build();
        Auth = new Handler((request, cancellationToken) => AnswerAsync(TokenRequests, OnTokenRequest, request, cancellationToken));
        Api = new Handler((request, cancellationToken) => AnswerAsync(ApiRequests, OnApiRequest, request, cancellationToken));
        Regular = new HttpMessageInvoker(_fake.CreateHandler(new Uri(BaseAddress)));
        _fake.Answer(FakeSparkfly.AnyMethod, "/**", HttpStatusCode.OK);

        // All tokens have one beginning, and the sweep looks for that: some tests take very many.
        _fake.Answer(HttpMethod.Post, "auth", _ => NewToken());
        _fake.Answer(HttpMethod.Post, "/auth", _ => NewToken());
    }

    public string Identity { get; } = SecretSweep.NewSecret("identity");

    public IConfigurationRoot Settings { get; }

    public HttpMessageHandler Auth { get; }

    public HttpMessageHandler Api { get; }

    private HttpMessageInvoker Regular { get; }

    /// <summary>The token requests that have come.</summary>
    public Counter TokenRequests { get; } = new();

    /// <summary>The other requests that have come.</summary>
    public Counter ApiRequests { get; } = new();

    /// <summary>Answers a token request in place of the regular answer, where it gives one.</summary>
    public Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage?>>? OnTokenRequest { get; set; }

    /// <summary>Answers any other request in place of the regular answer, where it gives one.</summary>
    public Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage?>>? OnApiRequest { get; set; }

    public static string? TokenOf(HttpRequestMessage request) =>
        request.Headers.NonValidated.TryGetValues("X-Auth-Token", out var values) ? values.ToString() : null;

    public static HttpResponseMessage Status(HttpStatusCode status, string? retryAfter = null)
    {
        var response = new HttpResponseMessage(status);
        if (retryAfter is not null)
        {
            response.Headers.TryAddWithoutValidation("Retry-After", retryAfter);
        }

        return response;
    }

    public void Revoke() => _fake.RevokeTokens();

    public bool IsGood(string? token) => _fake.IsGood(token, TimeProvider.System);

    /// <summary>The regular answer to a token request.</summary>
    public HttpResponseMessage Token()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{BaseAddress}/auth");
        return Regular.Send(request, CancellationToken.None);
    }

    /// <summary>Makes every token request fail with this status.</summary>
    public void Fail(HttpStatusCode status = HttpStatusCode.ServiceUnavailable, string? retryAfter = null) =>
        OnTokenRequest = (_, _) => Task.FromResult<HttpResponseMessage?>(Status(status, retryAfter));

    /// <summary>Makes token requests succeed again.</summary>
    public void Recover() => OnTokenRequest = null;

    /// <summary>Makes token requests wait until the returned gate is opened; then they are answered as if nothing had been.</summary>
    public Gate HoldTokenRequests(bool heedsCancellation = true)
    {
        var gate = new Gate();
        Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage?>>? otherwise = OnTokenRequest;
        OnTokenRequest = async (request, cancellationToken) =>
        {
            await gate.Opened.WaitAsync(heedsCancellation ? cancellationToken : CancellationToken.None);
            return otherwise is null ? null : await otherwise(request, cancellationToken);
        };
        return gate;
    }

    /// <summary>Changes one setting of the account, as a reload of its configuration does.</summary>
    public void Reload(string setting, string value)
    {
        Settings[setting] = value;
        Settings.Reload();
    }

    /// <summary>An application whose client "api" calls this Sparkfly.</summary>
    /// <param name="configure">Settings in code, which win over the configuration.</param>
    /// <param name="register">What else the application registers.</param>
    /// <param name="client">What else the client "api" is to be.</param>
    /// <param name="isQuiet">Logs nothing, where a test makes so many requests that sweeping their log would take long.</param>
    public TestApp App(
        Action<SparkflyAuthOptions>? configure = null,
        Action<IServiceCollection>? register = null,
        Action<IHttpClientBuilder>? client = null,
        bool isQuiet = false) =>
        new(services =>
        {
            AddAccount(services, "");
            if (configure is not null)
            {
                services.AddSparkflyAuth(configure);
            }

            IHttpClientBuilder builder = services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => Api);
            client?.Invoke(builder);
            if (isQuiet)
            {
                services.AddLogging(static logging => logging.SetMinimumLevel(LogLevel.None));
            }

            register?.Invoke(services);
        });

    public void AddAccount(IServiceCollection services, string name) =>
        services.AddSparkflyAuth(name, Settings).ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => Auth));

    // Counted when it is settled who answers: a test that waits for the request may change that at once.
    private async Task<HttpResponseMessage> AnswerAsync(
        Counter requests,
        Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage?>>? hook,
        HttpRequestMessage request,
        CancellationToken cancellationToken)
    {
        requests.Increment();
        return hook is not null && await hook(request, cancellationToken) is { } response ? response : await AnswerAsync(request);
    }

    // At once, and so to the end: a request that was given up while a test held it is answered as well.
    private Task<HttpResponseMessage> AnswerAsync(HttpRequestMessage request) => Regular.SendAsync(request, CancellationToken.None);

    private HttpResponseMessage NewToken()
    {
        string token = $"{_tokenPrefix}-{Interlocked.Increment(ref _issued).ToString(CultureInfo.InvariantCulture)}";
        return new HttpResponseMessage(HttpStatusCode.NoContent) { Headers = { { "X-Auth-Token", token } } };
    }

    private sealed class Handler(Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>> answer) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            HttpResponseMessage response = await answer(request, cancellationToken);
            response.RequestMessage = request;
            return response;
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
            SendAsync(request, cancellationToken).GetAwaiter().GetResult();
    }
}

/// <summary>Holds others until it is opened.</summary>
internal sealed class Gate
{
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Opened => _opened.Task;

    public void Open() => _opened.TrySetResult();
}

/// <summary>A number that only grows, and that a test can wait for.</summary>
internal sealed class Counter
{
    private readonly Lock _lock = new();
    private readonly List<(int Value, TaskCompletionSource Reached)> _waiting = [];
    private int _value;

    public int Value => Volatile.Read(ref _value);

    public void Increment()
    {
        lock (_lock)
        {
            _value++;
            foreach ((int value, TaskCompletionSource reached) in _waiting)
            {
                if (_value >= value)
                {
                    reached.TrySetResult();
                }
            }
        }
    }

    /// <summary>Waits, not for ever, until the number is at least this.</summary>
    public Task Reaches(int value)
    {
        lock (_lock)
        {
            var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_value >= value)
            {
                reached.SetResult();
            }
            else
            {
                _waiting.Add((value, reached));
            }

            return reached.Task.WaitAsync(TestApp.Patience);
        }
    }

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
