namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 7.1, over days: what a large fleet costs Sparkfly. The counts are printed.</summary>
[Category("Long")]
public class FleetSimulationTests
{
    private const int Instances = 500;
    private const int Days = 10;

    // How often an instance has a request.
    private static readonly TimeSpan s_step = TimeSpan.FromMinutes(2);

    private readonly InMemorySparkfly _sparkfly = new();

    [Test]
    public async Task A_fleet_of_500_asks_three_times_a_day_at_most()
    {
        int[] perDay = await SimulateAsync(isShared: true);

        Assert.That(perDay, Is.All.InRange(0, 3), "token requests a day");
        Assert.That(perDay.Sum(), Is.InRange(Days, Days + 5), "token requests in all");
    }

    [Test]
    public async Task The_same_instances_without_a_shared_cache_ask_once_or_twice_a_day_each()
    {
        int[] perDay = await SimulateAsync(isShared: false);

        Assert.That(perDay.Sum(), Is.InRange(Instances * Days, Instances * (Days + 1)), "token requests in all");
    }

    private async Task<int[]> SimulateAsync(bool isShared)
    {
        // One clock for all: they have their requests one after another.
        var clock = new FleetClock();
        await using var fleet = new Fleet(_sparkfly, new SharedCache(clock));
        var apps = new List<TestApp>();
        for (int i = 0; i < Instances; i++)
        {
            apps.Add(isShared ? fleet.Add(time: clock, isQuiet: true).App
                : _sparkfly.App(register: services => services.AddSingleton<TimeProvider>(clock), isQuiet: true));
        }

        ISparkflyTokenProvider[] providers = [.. apps.Select(static a => a.Tokens)];
        (TokenState Tokens, AccountSettings Settings)[] states = [.. apps.Select(static app =>
        {
            AccountSettings settings = app.Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings;
            return (app.Services.GetRequiredService<TokenStates>().Acquire(settings.AccountDigest), settings);
        })];

        int[] perDay = new int[Days];
        int before = 0;
        for (int day = 0; day < Days; day++)
        {
            for (TimeSpan time = TimeSpan.Zero; time < TimeSpan.FromDays(1); time += s_step)
            {
                for (int i = 0; i < Instances; i++)
                {
                    // Nothing more happens where the token is usable and not due.
                    if (states[i].Tokens.Warm(states[i].Settings) is null)
                    {
                        await providers[i].GetTokenAsync();
                        await Fleet.Until(() => states[i].Tokens.Warm(states[i].Settings) is not null, "the renewal in the background");
                    }
                }

                clock.Advance(s_step);
            }

            perDay[day] = _sparkfly.TokenRequests.Value - before;
            before = _sparkfly.TokenRequests.Value;
        }

        TestContext.Out.WriteLine($"{Instances} instances, {Days} days, {(isShared ? "shared" : "each its own")}: POSTs a day {string.Join(' ', perDay)}");
        foreach (TestApp app in apps)
        {
            await app.DisposeAsync();
        }

        return perDay;
    }
}
