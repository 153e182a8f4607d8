using BenchmarkDotNet.Attributes;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>What one request costs when the token is at hand, which is all but a few a day.</summary>
/// <remarks>
/// Compared are a pipeline without authentication; one that sets a header whose value never changes, which is the least that authentication can
/// cost; this package's handler; the handler as it is usually written. All are pipelines of <see cref="IHttpClientFactory"/>, called without an
/// <see cref="HttpClient"/>, whose own cost (some hundred nanoseconds and bytes) would be in all of them alike. They have the factory's logging
/// handlers, which nobody listens to. Azure's policy stands in a pipeline of its own kind and is compared with that pipeline bare. The message, with
/// an address that is parsed already, and its answer are made anew for each request, and are part of every figure.
/// </remarks>
[MemoryDiagnoser(displayGenColumns: false)]
public class WarmPathBenchmarks : IDisposable
{
    private readonly List<Pipeline> _pipelines = [];
    private AnsweringHandler _api = null!;
    private HttpMessageInvoker _bare = null!;
    private HttpMessageInvoker _constantHeader = null!;
    private HttpMessageInvoker _sparkfly = null!;
    private HttpMessageInvoker _handWritten = null!;
    private AzurePipeline _azureBare = null!;
    private AzurePipeline _azureBearerToken = null!;

    /// <summary>Gets or sets when the API answers.</summary>
    [ParamsAllValues]
    public Answer Answer { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _api = new AnsweringHandler(Answer);
        _bare = Warm(Authentication.None);
        _constantHeader = Warm(Authentication.ConstantHeader);
        _sparkfly = Warm(Authentication.Sparkfly);
        _handWritten = Warm(Authentication.HandWritten);
        _azureBare = new AzurePipeline(isAuthenticated: false, _api);
        _azureBearerToken = new AzurePipeline(isAuthenticated: true, _api);

        // All of them in turns, so that the compiler's profile of what they share is the same for all.
        for (int i = 0; i < 20_000; i++)
        {
            Bare();
            ConstantHeader();
            Sparkfly();
            HandWritten();
            AzureBare();
            AzureBearerToken();
        }
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _pipelines.ForEach(static p => p.Dispose());
        _pipelines.Clear();
        GC.SuppressFinalize(this);
    }

    [Benchmark(Description = "no authentication")]
    public HttpResponseMessage Bare() => Send(_bare);

    [Benchmark(Description = "constant header")]
    public HttpResponseMessage ConstantHeader() => Send(_constantHeader);

    [Benchmark(Description = "Sparkfly.Auth.Handler")]
    public HttpResponseMessage Sparkfly() => Send(_sparkfly);

    [Benchmark(Description = "hand-written")]
    public HttpResponseMessage HandWritten() => Send(_handWritten);

    [Benchmark(Description = "Azure pipeline, no authentication")]
    public int AzureBare() => _azureBare.Send(FakeSparkfly.Offers);

    [Benchmark(Description = "Azure pipeline, BearerTokenAuthenticationPolicy")]
    public int AzureBearerToken() => _azureBearerToken.Send(FakeSparkfly.Offers);

    private HttpResponseMessage Send(HttpMessageInvoker pipeline)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, FakeSparkfly.Offers);
        Task<HttpResponseMessage> sending = pipeline.SendAsync(request, CancellationToken.None);
        _api.Complete();
        return sending.GetAwaiter().GetResult();
    }

    /// <summary>A pipeline that has its token. The first request waits for it, so its answer cannot be given at once.</summary>
    private HttpMessageInvoker Warm(Authentication authentication)
    {
        var pipeline = new Pipeline(authentication, new FakeSparkfly(), _api);
        _pipelines.Add(pipeline);
        HttpMessageInvoker invoker = pipeline.Invoker();
        using var request = new HttpRequestMessage(HttpMethod.Get, FakeSparkfly.Offers);
        Task<HttpResponseMessage> first = invoker.SendAsync(request, CancellationToken.None);
        SpinWait.SpinUntil(() =>
        {
            _api.Complete();
            return first.IsCompleted;
        });
        first.GetAwaiter().GetResult().Dispose();
        return invoker;
    }
}
