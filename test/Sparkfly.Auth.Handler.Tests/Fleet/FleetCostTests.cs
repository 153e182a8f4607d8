using System.Globalization;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Section 7, rule 3, as <c>docs/fleet.md</c> has it in a table: what each kind of trouble costs twenty instances that call at one moment.</summary>
public class FleetCostTests
{
    private const int Size = 20;
    private const int Runs = 20;

    private static readonly AccountSettings s_settings = AccountSettings.From(new SparkflyAuthOptions
    {
        BaseAddress = new Uri("https://sparkfly.test/v1.0"),
        Identity = "identity",
        Key = "key",
    });

    internal static readonly (string What, CacheTrouble Trouble, bool IsOneGone)[] Rows =
    [
        ("works", CacheTrouble.Nothing, false),
        ("works, and the instance with the lease dies", CacheTrouble.Nothing, true),
        ("never expires entries, and the instance with the lease dies", CacheTrouble.KeepsLeasesForEver, true),
        ("loses everything, is full, or drops writes", CacheTrouble.DropsWrites, false),
        ("returns writes 400 ms late", CacheTrouble.LagsBehind, false),
        ("loses each key within 300 ms", CacheTrouble.LosesKeys, false),
        ("has foreign data written to the lease", CacheTrouble.StrangerWritesLeases, false),
        ("has old leases written back", CacheTrouble.OldLeasesArePutBack, false),
        ("throws, or cannot be created", CacheTrouble.Throws, false),
        ("hangs", CacheTrouble.Hangs, false),
    ];

    private static IEnumerable<string> Whats => Rows.Select(static r => r.What);

    [TestCaseSource(nameof(Whats))]
    public void The_page_has_what_it_costs_when_the_cache(string what)
    {
        Assert.That(Document.Lines("docs/fleet.md"), Does.Contain(Measure(what)));
    }

    /// <summary>The most of several runs, as a row of the table.</summary>
    internal static string Measure(string what)
    {
        (_, CacheTrouble trouble, bool isOneGone) = Rows.Single(r => r.What == what);
        (TimeSpan Longest, int Posts) cold = default;
        (TimeSpan Longest, int Posts) revoked = default;
        for (int seed = 0; seed < Runs; seed++)
        {
            SynchronizationContext.SetSynchronizationContext(null);
            var world = new FleetWorld(seed, trouble, s_settings, new TimeSpan[Size]) { HoldUps = 0, LongestPost = 100, Slowness = 5 };
            if (isOneGone)
            {
                world.Store.FirstLeaseIsOf = static node => node.IsGone = true;
            }

            cold = Most(cold, world.Run(static node => node.CallAsync(), spread: 100));
            world.Pass(TimeSpan.FromMinutes(2));
            world.Revoke();
            revoked = Most(revoked, world.Run(static node => node.CallAsync(), spread: 100));
            Assert.That(world.Violations, Is.Empty);
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {what} | {cold.Longest.TotalSeconds:F1} s | {cold.Posts} | {revoked.Longest.TotalSeconds:F1} s | {revoked.Posts} |");
    }

    private static (TimeSpan Longest, int Posts) Most((TimeSpan Longest, int Posts) one, (TimeSpan Longest, int Posts) other) =>
        (one.Longest > other.Longest ? one.Longest : other.Longest, Math.Max(one.Posts, other.Posts));
}
