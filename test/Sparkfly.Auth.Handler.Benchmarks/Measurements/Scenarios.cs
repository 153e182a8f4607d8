using System.Net;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>What happens when something is wrong, counted rather than timed: token requests, API requests, and what the callers saw.</summary>
/// <remarks>
/// This package's handler and the hand-written one go through the same events, in the same pipelines, against the same service without sockets.
/// Counts do not depend on the machine, but for the hand-written handler's in the revocation, where they depend on how its callers race.
/// </remarks>
internal static class Scenarios
{
    private static readonly (Authentication Authentication, string Name)[] s_handlers =
        [(Authentication.Sparkfly, "Sparkfly.Auth.Handler"), (Authentication.HandWritten, "hand-written")];

    public static async Task RunAsync(Run run)
    {
        var page = new Page(run, "scenarios", "When something is wrong");
        page.Text("Counts, not times: what reaches the service, and what the callers see, with this package's handler and with the hand-written one.");
        (string Title, string Text, Func<Authentication, Task<Counts>> CountAsync)[] scenarios =
        [
            ("Cold stampede", "1,000 callers at once, and no token yet.", ColdStampedeAsync),
            ("Revocation under load",
                "1,000 requests are under way when the service revokes the token; their answers come in ten waves of a hundred, each when all of the " +
                "wave before are done. One token request is the first of all.", RevocationAsync),
            ("Permanent 401", "An endpoint answers 401 to every token; 200 calls, one after another.", PermanentUnauthorizedAsync),
            ("Wrong credentials", "The service rejects the credentials; 50 calls, one after another.", WrongCredentialsAsync),
            ("Outage across a renewal",
                "`/auth` answers 503 for five minutes, beginning at each minute from 30 before the end of the token's use to five after it: 36 outages, " +
                "each with a call every ten seconds for the hour around that end. The API itself is well.", OutageAsync),
        ];
        var rows = new List<string[]>();
        var bars = new List<Bar>();
        foreach ((string title, string text, Func<Authentication, Task<Counts>> countAsync) in scenarios)
        {
            page.Text($"- **{title}**: {text}");
            foreach ((Authentication authentication, string name) in s_handlers)
            {
                Counts counts = await countAsync(authentication).ConfigureAwait(false);
                rows.Add([$"{title}: {name}", Figures.Whole(counts.TokenRequests), Figures.Whole(counts.ApiRequests), counts.Seen]);
                bars.Add(new Bar(title, name, counts.TokenRequests, Figures.Whole(counts.TokenRequests), authentication == Authentication.Sparkfly));
            }
        }

        page.Table(["scenario and handler", "`POST /auth`", "API requests", "what the callers saw"], rows);
        page.Plot("token-requests", new BarChart("Token requests when something is wrong", "POST /auth", bars));
        page.Save();
    }

    private static async Task<Counts> ColdStampedeAsync(Authentication authentication)
    {
        var everyoneIsThere = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var sparkfly = new FakeSparkfly
        {
            OnTokenRequest = async () =>
            {
                await everyoneIsThere.Task.ConfigureAwait(false);
                return null;
            },
        };
        using var pipeline = new Pipeline(authentication, sparkfly, sparkfly.Api);
        using HttpClient client = pipeline.Client();
        Task<string>[] calls = [.. Enumerable.Range(0, 1000).Select(_ => CallAsync(client))];
        everyoneIsThere.SetResult();
        return new Counts(sparkfly, await Task.WhenAll(calls).ConfigureAwait(false));
    }

    private static async Task<Counts> RevocationAsync(Authentication authentication)
    {
        const int Calls = 1000;
        const int WaveSize = 100;
        var sparkfly = new FakeSparkfly();
        using var pipeline = new Pipeline(authentication, sparkfly, sparkfly.Api);
        using HttpClient client = pipeline.Client();
        await CallAsync(client).ConfigureAwait(false);
        TaskCompletionSource[] waves =
            [.. Enumerable.Range(0, Calls / WaveSize).Select(static _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously))];

        // The first of all was the one that got the token. Those that are sent again are not held up.
        sparkfly.OnApiRequest = async number =>
        {
            int call = number - 2;
            await (call < Calls ? waves[call / WaveSize].Task : Task.CompletedTask).ConfigureAwait(false);
            return null;
        };
        Task<string>[] calls = [.. Enumerable.Range(0, Calls).Select(_ => CallAsync(client))];
        sparkfly.Revoke();
        for (int wave = 0; wave < waves.Length; wave++)
        {
            waves[wave].SetResult();
            await Task.WhenAll(calls.Skip(wave * WaveSize).Take(WaveSize)).ConfigureAwait(false);
        }

        return new Counts(sparkfly, await Task.WhenAll(calls).ConfigureAwait(false));
    }

    private static Task<Counts> PermanentUnauthorizedAsync(Authentication authentication) =>
        CallOneAfterAnotherAsync(authentication, 200, new FakeSparkfly { OnApiRequest = static _ => RejectAsync() });

    private static Task<Counts> WrongCredentialsAsync(Authentication authentication) =>
        CallOneAfterAnotherAsync(authentication, 50, new FakeSparkfly { OnTokenRequest = RejectAsync });

    private static Task<HttpStatusCode?> RejectAsync() => Task.FromResult<HttpStatusCode?>(HttpStatusCode.Unauthorized);

    private static async Task<Counts> CallOneAfterAnotherAsync(Authentication authentication, int calls, FakeSparkfly sparkfly)
    {
        using var pipeline = new Pipeline(authentication, sparkfly, sparkfly.Api);
        using HttpClient client = pipeline.Client();
        var seen = new List<string>();
        for (int i = 0; i < calls; i++)
        {
            seen.Add(await CallAsync(client).ConfigureAwait(false));
        }

        return new Counts(sparkfly, seen);
    }

    private static async Task<Counts> OutageAsync(Authentication authentication)
    {
        TimeSpan endOfUse = TimeSpan.FromDays(1) - TimeSpan.FromMinutes(5);
        (int tokenRequests, int apiRequests) = (0, 0);
        var seen = new List<string>();
        for (int minute = -30; minute <= 5; minute++)
        {
            var time = new FakeTimeProvider();
            DateTimeOffset end = time.GetUtcNow() + endOfUse;
            DateTimeOffset outage = end + TimeSpan.FromMinutes(minute);
            var sparkfly = new FakeSparkfly
            {
                OnTokenRequest = () => Task.FromResult<HttpStatusCode?>(
                    time.GetUtcNow() >= outage && time.GetUtcNow() < outage + TimeSpan.FromMinutes(5) ? HttpStatusCode.ServiceUnavailable : null),
            };
            using var pipeline = new Pipeline(authentication, sparkfly, sparkfly.Api, time);
            using HttpClient client = pipeline.Client();
            await CallAsync(client).ConfigureAwait(false);
            time.SetUtcNow(end - TimeSpan.FromMinutes(40));
            for (; time.GetUtcNow() < end + TimeSpan.FromMinutes(20); time.Advance(TimeSpan.FromSeconds(10)))
            {
                seen.Add(await CallAsync(client).ConfigureAwait(false));

                if ((time.GetUtcNow() - end).Duration() < TimeSpan.FromMinutes(16))
                {
                    // A renewal in the background has its time too: it takes microseconds, for which the clock must not go on by minutes.
                    await Task.Delay(TimeSpan.FromMilliseconds(2)).ConfigureAwait(false);
                }
            }

            tokenRequests += sparkfly.TokenRequests;
            apiRequests += sparkfly.ApiRequests;
        }

        return new Counts(tokenRequests, apiRequests, seen);
    }

    private static async Task<string> CallAsync(HttpClient client)
    {
        try
        {
            using HttpResponseMessage response = await client.GetAsync(FakeSparkfly.Offers).ConfigureAwait(false);
            return $"{(int)response.StatusCode}";
        }
        catch (HttpRequestException exception)
        {
            return exception.GetType().Name;
        }
    }

    private sealed record Counts(int TokenRequests, int ApiRequests, IReadOnlyList<string> Outcomes)
    {
        public Counts(FakeSparkfly sparkfly, IReadOnlyList<string> outcomes)
            : this(sparkfly.TokenRequests, sparkfly.ApiRequests, outcomes)
        {
        }

        public string Seen => string.Join(
            ", ", Outcomes.CountBy(static o => o).OrderBy(static o => o.Key).Select(static o => $"{Figures.Whole(o.Value)} × {o.Key}"));
    }
}
