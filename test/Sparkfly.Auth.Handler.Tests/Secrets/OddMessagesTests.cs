using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 6.1 and 6.3 where code of the application throws, or logs all headers of a message.</summary>
public class OddMessagesTests
{
    private readonly InMemorySparkfly _sparkfly = new();

    /// <summary>Rule 6.3: a mock without a setup returns null for a task.</summary>
    [Test]
    public async Task After_a_primary_handler_that_returns_no_task_the_message_has_no_token_and_its_own_content([Values] bool isWarm)
    {
        using var primary = new NoTask();
        await using TestApp app = _sparkfly.App(client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary));
        using HttpClient client = app.Client();
        using JsonContent content = JsonContent.Create(1);
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = content };
        if (isWarm)
        {
            await app.Tokens.GetTokenAsync();
        }

        Assert.That(async () => await client.SendAsync(request), Throws.InstanceOf<NullReferenceException>(), "as without the handler");
        Assert.That(InMemorySparkfly.TokenOf(request), Is.Null);
        Assert.That(request.Content, Is.SameAs(content));
    }

    /// <summary>Rule 6.3: also where the logger throws that is told of a primary handler which has followed a redirect away.</summary>
    [Test]
    public async Task After_a_logger_that_throws_the_message_has_no_token([Values] bool isAsync)
    {
        using var primary = new FakePrimary(static request =>
        {
            request.RequestUri = new Uri("https://elsewhere.test/");
            return new HttpResponseMessage(HttpStatusCode.OK);
        });
        using var logger = new ThrowingLogger("followed a redirect");
        await using TestApp app = _sparkfly.App(
            client: client => client.ConfigurePrimaryHttpMessageHandler(() => primary), register: services => services.AddLogging(logging => logging.AddProvider(logger)));
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        Assert.That(async () => await client.SendAsync(request, isAsync), Throws.Exception);
        Assert.That(logger.HasThrown, Is.True);
        Assert.That(InMemorySparkfly.TokenOf(request), Is.Null);
    }

    /// <summary>Rule 6.1: the credentials and the token of the response pass the handlers of <c>ConfigureAuthClient</c> out of their sight.</summary>
    [Test]
    public async Task A_handler_that_prints_the_options_of_a_token_request_prints_no_secret()
    {
        var printed = new ConcurrentQueue<string>();
        await using TestApp app = _sparkfly.App(register: services => services.AddSparkflyAuth(static _ => { }).ConfigureAuthClient(auth =>
            auth.AddHttpMessageHandler(() => new InlineHandler(async (request, next) =>
            {
                HttpResponseMessage response = await next(request);
                printed.Enqueue(JsonSerializer.Serialize(request.Options.ToDictionary(static o => o.Key, static o => o.Value)));
                return response;
            }))));

        SparkflyToken token = await app.Tokens.GetTokenAsync();

        string text = string.Concat(printed);
        Assert.That(text, Is.Not.Empty);
        Assert.That(text, Does.Not.Contain(_sparkfly.Settings["Key"]).And.Not.Contain(_sparkfly.Identity).And.Not.Contain(token.Value));
    }

    private sealed class NoTask : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => null!;
    }

    private sealed class ThrowingLogger(string at) : ILoggerProvider, ILogger
    {
        public bool HasThrown { get; private set; }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (formatter(state, exception).Contains(at, StringComparison.Ordinal))
            {
                HasThrown = true;
                throw new InvalidOperationException("The logger throws.");
            }
        }

        public void Dispose()
        {
        }
    }
}
