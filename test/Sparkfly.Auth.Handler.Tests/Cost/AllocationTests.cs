using System.Diagnostics;
using System.Net;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 9: what a request with a token at hand allocates, beyond what any handler does that sets a header.</summary>
/// <remarks>
/// The bytes of this thread alone are counted, exactly, so what runs beside it does not matter. What does is that code runs for the first time, or is
/// compiled anew meanwhile. So both pipelines are measured in turns, many times, and the least that each was seen to allocate is compared: an
/// allocation that is really there is there each time.
/// </remarks>
public class AllocationTests
{
    private const int RequestsInATurn = 100;
    private const int Turns = 50;

    private static readonly Uri s_offers = new("https://sparkfly.test/v1.0/offers");

    /// <summary>
    /// In an optimized build a state machine is one object, the task, with what the method holds across an await, 152 bytes here; in a debug build
    /// it is two, and holds every local. A second one would be a hundred bytes more at the least.
    /// </summary>
    private static long OneStateMachine =>
        typeof(SparkflyAuthHandler).Assembly.GetCustomAttributes(false).OfType<DebuggableAttribute>().Any(static d => d.IsJITOptimizerDisabled) ? 448 : 160;

    [Test]
    public async Task A_warm_request_that_is_answered_at_once_allocates_nothing_beyond_its_header()
    {
        await using Pipelines pipelines = await Pipelines.StartAsync(isLate: false);

        (long ours, long constantHeader) = Compare(pipelines, SendAsync);

        Assert.That(ours, Is.EqualTo(constantHeader), "bytes a request, with our handler and with a constant header");
    }

    [Test]
    public async Task A_warm_request_that_is_answered_later_allocates_one_state_machine_beyond_its_header()
    {
        await using Pipelines pipelines = await Pipelines.StartAsync(isLate: true);

        (long ours, long constantHeader) = Compare(pipelines, SendAsync);

        Assert.That(ours - constantHeader, Is.InRange(1, OneStateMachine), $"bytes a request; with a constant header {constantHeader}");
    }

    [Test]
    public async Task A_warm_blocking_request_allocates_two_completed_tasks_beyond_its_header()
    {
        await using Pipelines pipelines = await Pipelines.StartAsync(isLate: false);
        using var answer = new HttpResponseMessage();

        (long ours, long constantHeader) = Compare(pipelines, static (pipeline, _) =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, s_offers);
            return pipeline.Send(request, CancellationToken.None);
        });

        long task = Bytes(() => Task.FromResult(answer).Result) / RequestsInATurn;
        Assert.That(ours - constantHeader, Is.InRange(0, 2 * task), $"bytes a request; with a constant header {constantHeader}");
    }

    [Test]
    public async Task A_warm_token_is_given_without_an_allocation()
    {
        await using Pipelines pipelines = await Pipelines.StartAsync(isLate: false);
        long least = long.MaxValue;
        for (int turn = 0; turn < Turns && least > 0; turn++)
        {
            least = Math.Min(least, Bytes(() =>
            {
                ValueTask<SparkflyToken> token = pipelines.Tokens.GetTokenAsync();
                return token.IsCompletedSuccessfully ? token.Result : throw new InvalidOperationException("The token is not at hand.");
            }));
        }

        Assert.That(least, Is.Zero, $"bytes for {RequestsInATurn} calls");
    }

    private static HttpResponseMessage SendAsync(HttpMessageInvoker pipeline, Primary api)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, s_offers);
        Task<HttpResponseMessage> sending = pipeline.SendAsync(request, CancellationToken.None);
        api.Complete();
        return sending.IsCompleted ? sending.Result : throw new InvalidOperationException("What follows the answer runs on another thread, and is not counted.");
    }

    /// <summary>The bytes of a request with our handler, and with a handler that sets a header whose value never changes.</summary>
    private static (long Ours, long ConstantHeader) Compare(Pipelines pipelines, Func<HttpMessageInvoker, Primary, HttpResponseMessage> send)
    {
        // In NUnit's context, what follows an answer runs on the thread pool.
        SynchronizationContext.SetSynchronizationContext(null);
        (long ours, long constantHeader) = (long.MaxValue, long.MaxValue);
        for (int turn = 0; turn < Turns; turn++)
        {
            constantHeader = Math.Min(constantHeader, Bytes(() => send(pipelines.ConstantHeader, pipelines.Api)));
            ours = Math.Min(ours, Bytes(() => send(pipelines.Ours, pipelines.Api)));
        }

        return (ours / RequestsInATurn, constantHeader / RequestsInATurn);
    }

    private static long Bytes<T>(Func<T> act)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < RequestsInATurn; i++)
        {
            act();
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    /// <summary>Two clients of an application that nobody watches: no log, no fake clock.</summary>
    private sealed class Pipelines(ServiceProvider services, Primary api) : IAsyncDisposable
    {
        public Primary Api => api;

        public HttpMessageInvoker Ours { get; } = Invoker(services, "ours");

        public HttpMessageInvoker ConstantHeader { get; } = Invoker(services, "constant header");

        public ISparkflyTokenProvider Tokens => services.GetRequiredService<ISparkflyTokenProvider>();

        public static async Task<Pipelines> StartAsync(bool isLate)
        {
            var api = new Primary(isLate);
            var services = new ServiceCollection();
            new InMemorySparkfly().AddAccount(services, "");
            services.AddHttpClient("ours").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => api);
            services.AddHttpClient("constant header")
                .AddHttpMessageHandler(static () => new ConstantHeaderHandler())
                .ConfigurePrimaryHttpMessageHandler(() => api);
            var pipelines = new Pipelines(services.BuildServiceProvider(), api);
            await pipelines.Tokens.GetTokenAsync();
            return pipelines;
        }

        public ValueTask DisposeAsync() => services.DisposeAsync();

        private static HttpMessageInvoker Invoker(IServiceProvider services, string client) =>
            new(services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler(client), disposeHandler: false);
    }

    private sealed class ConstantHeaderHandler : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.TryAddWithoutValidation("X-Auth-Token", "constant");
            return base.SendAsync(request, cancellationToken);
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.TryAddWithoutValidation("X-Auth-Token", "constant");
            return base.Send(request, cancellationToken);
        }
    }

    /// <summary>Answers at once, or when told to; then everything that waits for the answer runs within that call, on this thread.</summary>
    private sealed class Primary(bool isLate) : HttpMessageHandler
    {
        private TaskCompletionSource<HttpResponseMessage>? _pending;

        public void Complete() => _pending?.TrySetResult(new HttpResponseMessage(HttpStatusCode.OK));

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (!isLate)
            {
                return Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK));
            }

            _pending = new TaskCompletionSource<HttpResponseMessage>();
            return _pending.Task;
        }

        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) => new(HttpStatusCode.OK);
    }
}
