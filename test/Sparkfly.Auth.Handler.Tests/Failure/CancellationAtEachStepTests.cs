using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rule 3.3, at every step: whenever a caller cancels, it leaves at once and alone, the caller beside it and the next one get their answers, no token
/// request is wasted, and nothing is left behind.
/// </summary>
/// <remarks>
/// A step is each point at which a call, or what it waits for, uses a part of the test: the API, its bodies, the token endpoint, the cache, the account
/// source, the clock, the log (<see cref="CancellationSteps"/>). Each scenario is run without a cancellation, to know its steps, and then once for each
/// of them, and for each further one that such a run takes.
/// </remarks>
public class CancellationAtEachStepTests
{
    // More would be a loop. The longest scenario has about 60.
    private const int MostSteps = 200;

    [Test]
    public async Task A_caller_that_cancels_at_any_step_leaves_at_once_and_alone(
        [Values] CancellationScenario scenario, [Values] CancellationMoment moment, [Values] Sending sending, [Values] bool hasBody)
    {
        var unobserved = new List<string>();
        void Note(object? sender, UnobservedTaskExceptionEventArgs args)
        {
            lock (unobserved)
            {
                unobserved.Add($"{args.Exception}");
            }
        }

        TaskScheduler.UnobservedTaskException += Note;
        try
        {
            var steps = new HashSet<string>();
            var reached = new HashSet<string>();
            var left = new List<(CancellationTokenSource Cancellation, WeakReference Message, WeakReference? Body)>();
            var targets = new Queue<string?>([null]);
            while (targets.TryDequeue(out string? target))
            {
                var trial = new CancellationTrial(scenario, moment, sending, hasBody, target);
                if (await TryAsync(trial, left) is { } step)
                {
                    reached.Add(step);
                }

                foreach (string further in trial.Steps.Where(steps.Add))
                {
                    targets.Enqueue(further);
                }

                Assert.That(steps, Has.Count.LessThan(MostSteps), "the steps have no end");
            }

            await TestContext.Out.WriteLineAsync($"{reached.Count} steps of {steps.Count}: {string.Join(", ", reached)}");
            Assert.That(CancellationScenarios.MustHave(scenario, hasBody).Select(static s => $"{s} 1").Except(reached), Is.Empty, "steps that were never reached");

            await CollectAsync(() => !left.Exists(IsHeld));
            Assert.That(left.FindIndex(IsHeld), Is.EqualTo(-1), "the step whose message or body is held while the caller's token source lives");
            GC.KeepAlive(left);
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Note;
        }

        lock (unobserved)
        {
            Assert.That(unobserved.Where(static e => e.Contains("Sparkfly", StringComparison.Ordinal)), Is.Empty, "unobserved exceptions");
        }
    }

    [Test]
    public async Task The_callers_cancellation_token_holds_nothing_of_a_call_that_has_ended([Values] CancellationScenario scenario)
    {
        await using var trial = new CancellationTrial(scenario, CancellationMoment.During, Sending.Async, hasBody: true, step: null);
        await trial.PrepareAsync();
        WeakReference message = await InvokeAsync(trial);

        await CollectAsync(() => !message.IsAlive);
        Assert.That(message.IsAlive, Is.False);
        GC.KeepAlive(trial.Cancellation);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static async Task<WeakReference> InvokeAsync(CancellationTrial trial)
        {
            using HttpRequestMessage request = trial.NewRequest();
            Assert.That(await trial.InvokeAsync(request), Is.EqualTo(HttpStatusCode.OK));
            return new WeakReference(request);
        }
    }

    /// <summary>One run.</summary>
    /// <returns>The step at which the call was cancelled; null where it ended before it came so far.</returns>
    private static async Task<string?> TryAsync(
        CancellationTrial trial, List<(CancellationTokenSource Cancellation, WeakReference Message, WeakReference? Body)> left)
    {
        await using (trial)
        {
            await trial.PrepareAsync();
            (CancellationOutcome outcome, WeakReference message, WeakReference? body) = await CallAsync(trial);
            left.Add((trial.Cancellation, message, body));
            string at = $"step {trial.Target ?? "none"}";

            if (outcome.Step is null)
            {
                Assert.That(outcome.Status, Is.EqualTo(HttpStatusCode.OK), $"{at}: nobody has cancelled: {outcome.Exception}");
            }
            else if (outcome.Status is null || !outcome.WasAnswered)
            {
                Assert.That(outcome.Exception, Is.InstanceOf<OperationCanceledException>(), $"{at}: {outcome.Status}");
                Assert.That(((OperationCanceledException)outcome.Exception!).CancellationToken, Is.EqualTo(trial.Cancellation.Token), $"{at}: whose cancellation");
            }

            Assert.That(outcome.HasToken, Is.False, $"{at}: the message has kept its token");
            Assert.That(outcome.HasItsContent, Is.True, $"{at}: the message has not its own content back");
            Assert.That(outcome.Beside, Is.EqualTo(outcome.Step is null ? null : HttpStatusCode.OK), $"{at}: the caller beside");
            Assert.That(await trial.CallOnceMoreAsync(), Is.EqualTo(HttpStatusCode.OK), $"{at}: the next caller");
            Assert.That(trial.TokenRequests, Is.LessThanOrEqualTo(CancellationScenarios.TokenRequests(trial.Scenario)), $"{at}: token requests");

            await Fleet.Until(() => trial.Clock.PendingTimers == 0, $"{at}: timers are still set: {trial.Clock}");
            await Fleet.Until(() => trial.OpenBodies == 0, $"{at}: bodies of responses were not closed");
            return outcome.Step;
        }
    }

    // On its own, so that no local variable of the test holds what is to be collected.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<(CancellationOutcome Outcome, WeakReference Message, WeakReference? Body)> CallAsync(CancellationTrial trial)
    {
        using HttpRequestMessage request = trial.NewRequest();
        HttpContent? content = request.Content;
        CancellationOutcome outcome = await trial.CallAsync(request);
        return (
            outcome with { HasToken = InMemorySparkfly.TokenOf(request) is not null, HasItsContent = ReferenceEquals(request.Content, content) },
            new WeakReference(request),
            content is null ? null : new WeakReference(content));
    }

    private static bool IsHeld((CancellationTokenSource Cancellation, WeakReference Message, WeakReference? Body) left) =>
        left.Message.IsAlive || left.Body?.IsAlive == true;

    private static async Task CollectAsync(Func<bool> isDone)
    {
        // A thread that has just come out of a call may hold it for a while.
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < TestApp.Patience; await Task.Delay(1))
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            if (isDone())
            {
                return;
            }
        }
    }
}
