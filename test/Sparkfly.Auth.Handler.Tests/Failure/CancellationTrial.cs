using System.Net;
using System.Text;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What a call has to go through.</summary>
public enum CancellationScenario
{
    /// <summary>No token is there.</summary>
    Cold,

    /// <summary>A token is there.</summary>
    Warm,

    /// <summary>The token is rejected: it is renewed, and the message is sent again.</summary>
    Unauthorized,

    /// <summary>A token is there, and the API redirects.</summary>
    Redirect,

    /// <summary>No token is there, and the fleet's cache has none.</summary>
    Fleet,

    /// <summary>The token is rejected, and the fleet's cache has no other.</summary>
    FleetUnauthorized,

    /// <summary>The account has to be asked of the application's source.</summary>
    Source,
}

internal static class CancellationScenarios
{
    /// <summary>The highest number of token requests that a run may make, with or without a cancellation.</summary>
    public static int TokenRequests(CancellationScenario scenario) =>
        scenario is CancellationScenario.Unauthorized or CancellationScenario.FleetUnauthorized ? 2 : 1;

    /// <summary>Steps without which the scenario is not what it is meant to be.</summary>
    public static IEnumerable<string> MustHave(CancellationScenario scenario, bool hasBody)
    {
        yield return "API";
        yield return "answer 200";
        if (hasBody)
        {
            yield return "second half of the body";
        }

        if (scenario is not (CancellationScenario.Warm or CancellationScenario.Redirect))
        {
            yield return "token request";
        }

        if (scenario == CancellationScenario.Unauthorized)
        {
            yield return "answer 401";
        }

        if (scenario is CancellationScenario.Fleet or CancellationScenario.FleetUnauthorized)
        {
            yield return "cache Get token";
            yield return "cache Set lease";
            yield return "cache Set token";
        }

        if (scenario == CancellationScenario.Source)
        {
            yield return "source";
        }
    }
}

/// <summary>What the caller that cancelled has seen.</summary>
/// <param name="Step">Where it was cancelled; null where it was not.</param>
/// <param name="WasAnswered">Whether the API had given its last answer by then.</param>
/// <param name="Status">The answer.</param>
/// <param name="Exception">What it got in place of the answer.</param>
/// <param name="Beside">The answer of the caller beside it.</param>
internal sealed record CancellationOutcome(string? Step, bool WasAnswered, HttpStatusCode? Status, Exception? Exception, HttpStatusCode? Beside)
{
    public bool HasToken { get; init; }

    public bool HasItsContent { get; init; }
}

/// <summary>An application, and one call of it that is cancelled at one step.</summary>
internal sealed class CancellationTrial : IAsyncDisposable
{
    private const string Tenant = "tenant";

    private readonly InMemorySparkfly _sparkfly = new();
    private readonly CancellationSteps _steps;
    private readonly Sending _sending;
    private readonly bool _hasBody;
    private readonly TestApp _app;
    private readonly HttpClient _client;
    private readonly TaskCompletionSource _isRejectionTaken = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _openBodies;
    private volatile bool _isAnswered;
    private volatile bool _isRevoked;

    public CancellationTrial(CancellationScenario scenario, CancellationMoment moment, Sending sending, bool hasBody, string? step)
    {
        (Scenario, Moment, _sending, _hasBody, Target) = (scenario, moment, sending, hasBody, step);
        _steps = new CancellationSteps(moment, step);
        Clock = new CancellationClock(_steps);
        _sparkfly.OnApiRequest = AnswerAsync;
        _sparkfly.OnTokenRequest = async (_, cancellationToken) =>
        {
            await _steps.PassAsync("token request", cancellationToken);
            if (_isRevoked)
            {
                // A token that is there at once leaves the body of the 401 unread.
                await _isRejectionTaken.Task.WaitAsync(cancellationToken);
            }

            return null;
        };
        _app = _sparkfly.App(
            register: Register, client: client => client.ConfigurePrimaryHttpMessageHandler(() => new RedirectablePrimary(_sparkfly.Api)), isQuiet: true);
        _client = _app.Client();
    }

    public CancellationScenario Scenario { get; }

    public CancellationMoment Moment { get; }

    /// <summary>The step at which it is cancelled; null for none.</summary>
    public string? Target { get; }

    /// <summary>The steps that the call has taken, up to the one it was cancelled at.</summary>
    public IEnumerable<string> Steps => _steps.Taken;

    public CancellationClock Clock { get; }

    public CancellationTokenSource Cancellation { get; } = new();

    public int TokenRequests => _sparkfly.TokenRequests.Value;

    /// <summary>Bodies of responses that nobody has closed.</summary>
    public int OpenBodies => Volatile.Read(ref _openBodies);

    /// <summary>Brings the application where the scenario begins.</summary>
    public async Task PrepareAsync()
    {
        if (Scenario is CancellationScenario.Cold or CancellationScenario.Fleet or CancellationScenario.Source)
        {
            return;
        }

        await CallOnceMoreAsync();
        if (Scenario is CancellationScenario.Unauthorized or CancellationScenario.FleetUnauthorized)
        {
            _isRevoked = true;
            _sparkfly.Revoke();
        }
    }

    public HttpRequestMessage NewRequest()
    {
        var request = new HttpRequestMessage(_hasBody ? HttpMethod.Post : HttpMethod.Get, "offers") { Content = _hasBody ? new CancellationBody(_steps) : null };
        if (Scenario == CancellationScenario.Source)
        {
            request.SetSparkflyAccount(Tenant);
        }

        return request;
    }

    /// <summary>Makes the call, and cancels it at its step.</summary>
    public async Task<CancellationOutcome> CallAsync(HttpRequestMessage request)
    {
        Task<HttpStatusCode>? beside = null;
        bool wasAnswered = false;
        _isAnswered = false;
        _steps.OnReached = () =>
        {
            wasAnswered = _isAnswered;
            if (Moment == CancellationMoment.At)
            {
                beside = Task.Run(CallOnceMoreAsync);
                Cancellation.Cancel();
            }
        };
        _steps.Arm();
        Task<HttpResponseMessage> call = _client.SendAs(_sending, request, Cancellation.Token);
        bool isPending = await Task.WhenAny(call, _steps.Reached) == _steps.Reached && Moment == CancellationMoment.During;

        // Away from the thread of the step, which may be anywhere in the package.
        await Task.Yield();
        if (isPending)
        {
            beside = await Task.Factory.StartNew(CallOnceMoreAsync, CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
            await Cancellation.CancelAsync();
        }

        (HttpStatusCode? Status, Exception? Exception) outcome = await EndOfAsync(call);
        string? step = _steps.Step;
        _steps.Release();
        return new CancellationOutcome(
            step, wasAnswered, outcome.Status, outcome.Exception, beside is null ? null : await beside.WaitAsync(TestApp.Patience));
    }

    public async Task<HttpStatusCode> CallOnceMoreAsync()
    {
        using HttpRequestMessage request = NewRequest();
        using HttpResponseMessage response = await _client.SendAs(_sending, request);
        return response.StatusCode;
    }

    /// <summary>Makes a call whose token is the caller's own all the way: an <see cref="HttpClient"/> would make one of its own.</summary>
    public async Task<HttpStatusCode> InvokeAsync(HttpRequestMessage request)
    {
        request.RequestUri = new Uri($"{_sparkfly.Settings["BaseAddress"]}/offers");
        using var invoker = new HttpMessageInvoker(_app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("api"));
        using HttpResponseMessage response = await invoker.SendAsync(request, Cancellation.Token).WaitAsync(TestApp.Patience);
        return response.StatusCode;
    }

    // Not the caller's token source: the test looks at what that holds.
    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private void Register(IServiceCollection services)
    {
        services.AddSingleton<TimeProvider>(Clock);
        services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace).ClearProviders().AddProvider(new CancellationLog(_steps)));
        if (Scenario is CancellationScenario.Fleet or CancellationScenario.FleetUnauthorized)
        {
            services.AddSparkflyAuth(static _ => { }).UseDistributedCache();
            services.AddSingleton<IDistributedCache>(new SharedCache
            {
                Before = (_, operation, key, cancellationToken) =>
                    _steps.PassAsync($"cache {operation} {(SharedCache.IsLease(key) ? "lease" : "token")}", cancellationToken),
            });
        }

        if (Scenario == CancellationScenario.Source)
        {
            services.AddSingleton(this);
            services.AddSparkflyAccountSource<OneTenant>().ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
        }
    }

    private static async Task<(HttpStatusCode? Status, Exception? Exception)> EndOfAsync(Task<HttpResponseMessage> call)
    {
        try
        {
            using HttpResponseMessage response = await call.WaitAsync(TestApp.Patience);
            return (response.StatusCode, null);
        }
        catch (Exception exception)
        {
            return (null, exception);
        }
    }

    private async Task<HttpResponseMessage?> AnswerAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        await _steps.PassAsync("API", cancellationToken);
        string? body = null;
        if (request.Content is not null)
        {
            using var received = new MemoryStream();
            await request.Content.CopyToAsync(received, cancellationToken);
            body = Encoding.UTF8.GetString(received.ToArray());
        }

        await _steps.PassAsync("API has the request", cancellationToken);
        HttpStatusCode status = !_sparkfly.IsGood(InMemorySparkfly.TokenOf(request)) ? HttpStatusCode.Unauthorized
            : _hasBody && body != CancellationBody.Text ? HttpStatusCode.BadRequest
            : Scenario == CancellationScenario.Redirect && request.RequestUri!.Query.Length == 0 ? HttpStatusCode.TemporaryRedirect
            : HttpStatusCode.OK;
        _isAnswered |= status == HttpStatusCode.OK;
        Interlocked.Increment(ref _openBodies);
        void Take()
        {
            if (status == HttpStatusCode.Unauthorized)
            {
                _isRejectionTaken.TrySetResult();
            }
        }

        void Close()
        {
            Interlocked.Decrement(ref _openBodies);
            Take();
        }

        var response = new HttpResponseMessage(status) { Content = new StreamContent(new CancellationAnswer(_steps, $"answer {(int)status}", Take, Close)) };
        response.Headers.Location = status == HttpStatusCode.TemporaryRedirect ? new Uri("offers?moved", UriKind.Relative) : null;
        return response;
    }

    /// <summary>Of a type whose redirects our handler follows.</summary>
    private sealed class RedirectablePrimary(HttpMessageHandler inner) : HttpClientHandler
    {
        private readonly HttpMessageInvoker _inner = new(inner, disposeHandler: false);

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            _inner.SendAsync(request, cancellationToken);

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) => _inner.Send(request, cancellationToken);
    }

    /// <summary>A source that knows one account, whose credentials are those of the default one.</summary>
    private sealed class OneTenant(CancellationTrial trial) : ISparkflyAccountSource
    {
        public async ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken)
        {
            await trial._steps.PassAsync("source", cancellationToken);
            return new SparkflyAuthOptions
            {
                BaseAddress = new Uri(trial._sparkfly.Settings["BaseAddress"]!),
                Identity = trial._sparkfly.Settings["Identity"],
                Key = trial._sparkfly.Settings["Key"],
            };
        }
    }
}
