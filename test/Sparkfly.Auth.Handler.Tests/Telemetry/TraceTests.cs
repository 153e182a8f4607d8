using System.Diagnostics;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.3: of its caller's execution context the token request takes the trace along, and nothing else.</summary>
public class TraceTests
{
    private static readonly AsyncLocal<string?> s_local = new();

    [TestCase(true, Description = "somebody listens to our ActivitySource")]
    [TestCase(false, Description = "nobody does")]
    public async Task The_POST_joins_the_trace_of_the_request_that_caused_it_without_its_baggage(bool isListenedTo)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        var post = new TaskCompletionSource<IHeaderDictionary>(TaskCreationOptions.RunContinuationsAsynchronously);
        var call = new TaskCompletionSource<IHeaderDictionary>(TaskCreationOptions.RunContinuationsAsynchronously);
        server.OnTokenRequest = context => Take(post, context);
        server.OnApiRequest = context => Take(call, context);
        await using TestApp app = server.App();
        using HttpClient client = app.Client();

        using Activity caller = Caller(isListenedTo);
        (await client.GetAsync("offers")).Dispose();

        IHeaderDictionary ofPost = await post.Task.WaitAsync(TestApp.Patience);
        IHeaderDictionary ofCall = await call.Task.WaitAsync(TestApp.Patience);
        Assert.That(ofPost.TraceParent.ToString(), Does.StartWith($"00-{caller.TraceId}-").And.EndsWith("-01"));
        Assert.That(ofPost.TraceState.ToString(), Is.EqualTo(caller.TraceStateString));
        Assert.That(ofCall.Baggage.ToString() + ofCall["Correlation-Context"], Does.Contain("customer"), "the call itself does carry it");
        Assert.That(ofPost.Baggage.ToString() + ofPost["Correlation-Context"], Is.Empty);

        static Task<bool> Take(TaskCompletionSource<IHeaderDictionary> headers, HttpContext context)
        {
            headers.TrySetResult(new HeaderDictionary(context.Request.Headers.ToDictionary()));
            return Task.FromResult(false);
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task The_token_requests_handlers_see_nothing_of_the_callers_context_but_the_trace(bool isListenedTo)
    {
        var sparkfly = new InMemorySparkfly();
        var seen = new TaskCompletionSource<(string? Local, string Culture, Activity? Activity)>(TaskCreationOptions.RunContinuationsAsynchronously);
        sparkfly.OnTokenRequest = (_, _) =>
        {
            seen.TrySetResult((s_local.Value, CultureInfo.CurrentCulture.Name, Activity.Current));
            return Task.FromResult<HttpResponseMessage?>(null);
        };
        await using TestApp app = sparkfly.App();

        using Activity caller = Caller(isListenedTo);
        s_local.Value = "the caller's";
        CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-CH");
        await app.Tokens.GetTokenAsync();
        (string? local, string culture, Activity? activity) = await seen.Task;

        Assert.That(s_local.Value, Is.EqualTo("the caller's"));
        Assert.That(local, Is.Null);
        Assert.That(culture, Is.Not.EqualTo("de-CH"));
        Assert.That(activity, Is.Not.Null);
        Assert.That(activity!.TraceId, Is.EqualTo(caller.TraceId));
        Assert.That(activity.ParentSpanId, Is.EqualTo(caller.SpanId));
        Assert.That(activity.Baggage, Is.Empty);
        Assert.That(activity.OperationName, Is.EqualTo("sparkfly.auth.token.request"));
    }

    [Test]
    public async Task A_background_renewal_belongs_to_the_trace_of_the_request_that_started_it()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        var seen = new TaskCompletionSource<ActivityTraceId?>(TaskCreationOptions.RunContinuationsAsynchronously);
        sparkfly.OnTokenRequest = (_, _) =>
        {
            seen.TrySetResult(Activity.Current?.TraceId);
            return Task.FromResult<HttpResponseMessage?>(null);
        };
        app.Time.SetUtcNow(token.ExpiresAt - TimeSpan.FromMinutes(1));

        using Activity caller = Caller(isListenedTo: true);
        await app.Tokens.GetTokenAsync();

        Assert.That(await seen.Task.WaitAsync(TestApp.Patience), Is.EqualTo(caller.TraceId));
    }

    [Test]
    public async Task The_callers_log_scopes_are_not_the_token_requests()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        ILogger logger = app.Services.GetRequiredService<ILogger<TraceTests>>();

        // Says where the account is, in the scope of who asks first.
        _ = app.Tokens;

        using (logger.BeginScope<string>("the scope of order 4711"))
        {
            logger.Log(LogLevel.Information, default, "The caller's own entry", null, static (state, _) => state);
            await app.Tokens.GetTokenAsync();
        }

        string[] inScope = [.. app.Log.Where(static e => e.Contains("the scope of order", StringComparison.Ordinal))];
        Assert.That(app.Log.Count(static e => e.Contains("[1] Obtained a token", StringComparison.Ordinal)), Is.EqualTo(1));
        Assert.That(inScope, Has.Length.EqualTo(1).And.All.Contains("The caller's own entry"));
    }

    [TestCase(null, "success")]
    [TestCase(HttpStatusCode.Unauthorized, "rejected")]
    [TestCase(HttpStatusCode.Forbidden, "rejected")]
    [TestCase(HttpStatusCode.ServiceUnavailable, "failed")]
    public async Task The_token_requests_activity_tells_its_outcome_and_why_there_is_no_token(HttpStatusCode? failure, string outcome)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using Activity caller = Caller(isListenedTo: true);
        var ended = new TaskCompletionSource<Activity>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == "Sparkfly.Auth.Handler",
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
                options.Parent.TraceId == caller.TraceId ? ActivitySamplingResult.AllData : ActivitySamplingResult.None,
            ActivityStopped = activity => _ = activity.TraceId == caller.TraceId && ended.TrySetResult(activity),
        };
        ActivitySource.AddActivityListener(listener);
        if (failure is { } status)
        {
            sparkfly.Fail(status);
        }

        string? message = null;
        try
        {
            await app.Tokens.GetTokenAsync();
        }
        catch (SparkflyAuthenticationException exception)
        {
            message = exception.Message;
        }

        Activity activity = await ended.Task.WaitAsync(TestApp.Patience);
        Assert.That(activity.TagObjects, Is.EqualTo(new KeyValuePair<string, object?>[] { new("outcome", outcome) }));
        Assert.That(activity.Status, Is.EqualTo(failure is null ? ActivityStatusCode.Unset : ActivityStatusCode.Error));
        Assert.That(activity.StatusDescription is null ? message is null : message?.Contains(activity.StatusDescription, StringComparison.Ordinal), Is.True);
    }

    [Test]
    public async Task Nobody_waits_for_ever_where_a_listener_throws()
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        using Activity caller = Caller(isListenedTo: true);
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == "Sparkfly.Auth.Handler",
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
                options.Parent.TraceId == caller.TraceId ? throw new NotSupportedException("a listener's mistake") : ActivitySamplingResult.None,
        };
        ActivitySource.AddActivityListener(listener);

        SparkflyAuthenticationException? exception = await Assert.ThrowsAsync<SparkflyAuthenticationException>(
            () => app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience));

        Assert.That(exception!.Message, Does.Contain(nameof(NotSupportedException)));
    }

    /// <summary>What a web framework has running when the application sends its request.</summary>
    private static Activity Caller(bool isListenedTo)
    {
        var caller = new Activity("caller")
        {
            ActivityTraceFlags = ActivityTraceFlags.Recorded,
            TraceStateString = isListenedTo ? "vendor=1" : SecretSweep.UnlistenedTraceState,
        };
        return caller.AddBaggage("customer", "17").Start();
    }
}
