using CsCheck;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Section 7, rules 1 and 3, over many interleavings of instances, clocks and a cache with every kind of trouble. A failure prints its seed; the
/// environment variable <c>CsCheck_Seed</c> replays it.
/// </summary>
public class FleetModelTests
{
    private const int Interleavings = 100_000;

    // Ten seconds for others; what the last look at token and lease, and taking it, cost at a second each; the POST; one that is kept meanwhile, and
    // what is written in the end.
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(10 + 4 + 0.25 + 0.2 + 1 + 2 + 1 + 2);

    private static readonly AccountSettings[] s_settings = [.. ((int[])[0, 30]).Select(static interval => Settings(TimeSpan.FromSeconds(interval)))];

    private static readonly int[] s_slowness = [1, 40, 40, 400];

    private static readonly Gen<Case> s_cases =
        from seed in Gen.Int
        from trouble in Gen.Enum<CacheTrouble>()
        from clocks in Gen.OneOf(Gen.Const(0), Gen.Int[-60, 60]).Array[2, 5]
        from interval in Gen.Int[0, 1]
        from gone in Gen.Int[0, 9]
        from slowness in Gen.Int[0, 3].Select(static i => s_slowness[i])
        select new Case(seed, trouble, clocks, interval, gone, slowness);

    private int _runs;
    private int _mostPostsOfWorking;

    /// <summary>The counts are printed.</summary>
    [Test]
    [Category("Long")]
    public void Every_caller_ends_within_the_bound_for_a_POST_of_its_own_at_most_and_nobody_loops_whatever_the_cache()
    {
        s_cases.Sample(Check, iter: Interleavings, print: static c => c.ToString());
        TestContext.Out.WriteLine($"{_runs} interleavings; a working cache cost {_mostPostsOfWorking} POSTs at most");
        Assert.That(_runs, Is.GreaterThanOrEqualTo(Interleavings));
    }

    /// <summary>The same in little, for every run of the tests.</summary>
    [Test]
    public void A_thousand_interleavings_keep_the_bounds() => s_cases.Sample(Check, iter: 1000, print: static c => c.ToString());

    private void Check(Case @case)
    {
        // Continuations run where the event queue completes them, and not where NUnit or the thread pool would.
        SynchronizationContext.SetSynchronizationContext(null);
        // One instance may be held up between two operations, and one may go.
        bool works = @case.Trouble == CacheTrouble.Nothing && @case.Slowness <= 40;
        var world = new FleetWorld(@case.Seed, @case.Trouble, s_settings[@case.Interval], [.. @case.Clocks.Select(static c => TimeSpan.FromSeconds(c))])
        {
            Slowness = @case.Slowness,
            HoldUps = works ? 1 : int.MaxValue,
        };
        int size = world.Nodes.Length;
        if (@case.Gone < size)
        {
            // It goes while it asks: the others wait for it.
            world.At(TimeSpan.FromMilliseconds(300) + world.UpTo(2000), () => world.Nodes[@case.Gone].IsGone = true);
        }

        bool[] answered = new bool[size];
        (TimeSpan longest, int posts) = world.Run(async node => answered[Array.IndexOf(world.Nodes, node)] = await node.CallAsync().ConfigureAwait(false));
        Hold(world.Violations.Count == 0, $"a cold start: {string.Join('\n', world.Violations)}");
        Hold(longest <= s_longest, $"the slowest of a cold start took {longest}");
        Hold(posts >= 0 && posts <= size, $"{posts} POSTs of a cold start");
        Hold(world.Nodes.All(n => n.IsGone || answered[Array.IndexOf(world.Nodes, n)]), "a call failed");
        if (works)
        {
            Most(posts);
            Hold(posts >= 1 && posts <= 3, $"{posts} POSTs of a cold start with a cache that works");
        }

        // The interval of nobody's forced renewal is over.
        world.Pass(TimeSpan.FromMinutes(1));
        world.Revoke();
        world.HoldUps = works ? 1 : int.MaxValue;
        (_, posts) = world.Run(static node => node.CallAsync());
        Hold(world.Violations.Count == 0, $"a revocation: {string.Join('\n', world.Violations)}");
        Hold(posts >= 0 && posts <= size, $"{posts} POSTs of a revocation");
        if (works)
        {
            Most(posts);
            Hold(posts >= 0 && posts <= 3, $"{posts} POSTs of a revocation with a cache that works");
        }

        // An endpoint that rejects every token.
        for (int call = 0; call < 2; call++)
        {
            (_, posts) = world.Run(static node => node.CallAsync(isRejected: true));
            Hold(world.Violations.Count == 0, $"an endpoint that rejects every token: {string.Join('\n', world.Violations)}");
            Hold(posts >= 0 && posts <= 2 * size, $"{posts} POSTs for an endpoint that rejects every token: one for each send after the first at most");
        }

        TimeSpan request = world.Nodes.Max(static n => n.LongestObtain);
        Hold(request <= s_longest, $"a token request took {request}");
        Interlocked.Increment(ref _runs);
    }

    // Not an assertion of NUnit's: those are kept from the run that finds the smallest failure.
    private static void Hold(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException(what);
        }
    }

    private void Most(int posts)
    {
        lock (s_settings)
        {
            _mostPostsOfWorking = Math.Max(_mostPostsOfWorking, posts);
        }
    }

    private static AccountSettings Settings(TimeSpan interval) => AccountSettings.From(new SparkflyAuthOptions
    {
        BaseAddress = new Uri("https://sparkfly.test/v1.0"),
        Identity = "identity",
        Key = "key",
        UnauthorizedRefreshInterval = interval,
    });

    /// <param name="Seed">Of everything that is drawn in the run.</param>
    /// <param name="Trouble">What is wrong with the cache.</param>
    /// <param name="Clocks">An instance each: how many seconds its clock is ahead.</param>
    /// <param name="Interval">The index of its settings.</param>
    /// <param name="Gone">The instance that ends in the middle; none where there is no such.</param>
    /// <param name="Slowness">How many milliseconds an operation takes at most.</param>
    private sealed record Case(int Seed, CacheTrouble Trouble, int[] Clocks, int Interval, int Gone, int Slowness)
    {
        public override string ToString() => $"seed {Seed}, {Trouble}, clocks [{string.Join(' ', Clocks)}], interval {Interval}, gone {Gone}, slowness {Slowness}";
    }
}
