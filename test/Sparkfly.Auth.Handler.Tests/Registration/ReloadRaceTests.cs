using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 3.5: changed options take effect with the next request, at whatever moment they change.</summary>
public class ReloadRaceTests
{
    [Test]
    public async Task A_reload_while_the_account_is_being_set_up_is_not_missed()
    {
        var sparkfly = new InMemorySparkfly();
        string oldKey = sparkfly.Settings["Key"]!;
        string newKey = SecretSweep.NewSecret("key");
        int reads = 0;
        var asked = new List<string>();
        sparkfly.OnTokenRequest = (request, _) =>
        {
            asked.Add(request.Headers.NonValidated["X-Auth-Key"].ToString());
            return Task.FromResult<HttpResponseMessage?>(null);
        };
        await using TestApp app = sparkfly.App(_ =>
        {
            // The old key has been read by now.
            if (reads++ == 0)
            {
                sparkfly.Reload("Key", newKey);
            }
        });

        await app.Tokens.GetTokenAsync();

        Assert.That(asked, Is.EqualTo((string[])[newKey]), $"asked with the {(asked[0] == oldKey ? "old" : "new")} key");
    }

    [Test]
    public async Task A_reload_while_the_first_options_are_found_to_be_invalid_does_not_hold_up_the_exception()
    {
        var sparkfly = new InMemorySparkfly();
        sparkfly.Settings["Key"] = "";
        Thread? reload = null;

        // Not disposed of where the test fails: that waits for what does not end.
        TestApp app = sparkfly.App(_ =>
        {
            if (reload is null)
            {
                reload = new Thread(() =>
                {
                    try
                    {
                        sparkfly.Settings.Reload();
                    }
                    catch (AggregateException)
                    {
                        // The options monitor's own callback throws the invalid options out of a reload.
                    }
                })
                { IsBackground = true };
                reload.Start();
                Assert.That(SpinWait.SpinUntil(() => reload.ThreadState.HasFlag(ThreadState.WaitSleepJoin), TestApp.Patience), "the reload waits");
            }
        });

        Task<SparkflyToken> first = Task.Run(() => app.Tokens.GetTokenAsync().AsTask());

        await Thrown.By<OptionsValidationException>(() => first.WaitAsync(TestApp.Patience));
        Assert.That(reload!.Join(TestApp.Patience), "the reload has ended");
        await app.DisposeAsync();
    }

    [Test]
    public async Task Who_waits_for_a_token_when_the_key_changes_gets_one_of_the_new_key()
    {
        var sparkfly = new InMemorySparkfly();
        string newKey = SecretSweep.NewSecret("key");
        var tokensByKey = new Dictionary<string, string>();
        Gate gate = sparkfly.HoldTokenRequests();
        var held = sparkfly.OnTokenRequest!;
        sparkfly.OnTokenRequest = async (request, cancellationToken) =>
        {
            await held(request, cancellationToken);
            HttpResponseMessage answer = sparkfly.Token();
            tokensByKey[request.Headers.NonValidated["X-Auth-Key"].ToString()] = answer.Headers.GetValues("X-Auth-Token").Single();
            return answer;
        };
        await using TestApp app = sparkfly.App();

        Task<SparkflyToken>[] waiting = [.. Enumerable.Range(0, 10).Select(_ => app.Tokens.GetTokenAsync().AsTask())];
        await sparkfly.TokenRequests.Reaches(1);
        sparkfly.Reload("Key", newKey);
        gate.Open();
        SparkflyToken[] tokens = await Task.WhenAll(waiting).WaitAsync(TestApp.Patience);

        Assert.That(tokens.Select(static t => t.Value), Is.All.EqualTo(tokensByKey[newKey]));
        Assert.That(sparkfly.TokenRequests.Value, Is.EqualTo(2));
    }

    /// <summary>Another request sees a new key, and the old one comes back, while the first is about to request a token.</summary>
    [Test]
    public async Task A_key_that_changes_and_comes_back_at_any_moment_costs_one_token_request_of_its_own([Range(1, 3)] int moment)
    {
        var sparkfly = new InMemorySparkfly();
        var clock = new InterruptedClock();

        // It has no room: a second token request is made also where the first has ended meanwhile.
        using var cache = new MemoryCache(new MemoryCacheOptions { SizeLimit = 0 });
        await using TestApp app = sparkfly.App(register: services => services.AddSingleton<TimeProvider>(clock).AddSingleton<IMemoryCache>(cache));
        string key = sparkfly.Settings["Key"]!;
        SparkflyToken expired = await app.Tokens.GetTokenAsync();
        clock.SetUtcNow(expired.ExpiresAt);
        var requests = new ConcurrentQueue<string>();
        Gate gate = sparkfly.HoldTokenRequests();
        var held = sparkfly.OnTokenRequest!;
        sparkfly.OnTokenRequest = (request, cancellationToken) =>
        {
            requests.Enqueue(request.Headers.NonValidated["X-Auth-Key"].ToString());
            return held(request, cancellationToken);
        };
        Task<SparkflyToken>? ofNewKey = null;
        clock.Interrupt(moment, () =>
        {
            sparkfly.Reload("Key", SecretSweep.NewSecret("key"));
            ofNewKey = app.Tokens.GetTokenAsync().AsTask();
            sparkfly.Reload("Key", key);
        });

        Task<SparkflyToken> first = app.Tokens.GetTokenAsync().AsTask();
        Task<SparkflyToken> second = app.Tokens.GetTokenAsync().AsTask();
        gate.Open();
        await Task.WhenAll(first, second, ofNewKey ?? first).WaitAsync(TestApp.Patience);

        Assert.That(requests.Count(r => r == key), Is.EqualTo(1), "token requests with the old key");
        Assert.That(requests, Has.Count.LessThanOrEqualTo(2), "token requests");
    }

    /// <summary>Does something when a thread reads it for the n-th time: the thread is interrupted there.</summary>
    private sealed class InterruptedClock() : FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero))
    {
        private Action? _interrupt;
        private int _left;
        private int _thread;

        public void Interrupt(int reading, Action interrupt) => (_thread, _left, _interrupt) = (Environment.CurrentManagedThreadId, reading, interrupt);

        public override DateTimeOffset GetUtcNow()
        {
            if (_interrupt is { } interrupt && Environment.CurrentManagedThreadId == _thread && --_left == 0)
            {
                _interrupt = null;
                interrupt();
            }

            return base.GetUtcNow();
        }
    }
}
