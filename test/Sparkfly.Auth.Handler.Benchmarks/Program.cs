using Sparkfly.Auth.Handler.Benchmarks;

// Everything, or the measurements that are named; --quick only shows that they work, and writes to artifacts/performance.
(string Name, Func<Run, Task> RunAsync)[] measurements =
[
    ("warm-path", WarmPath.RunAsync),
    ("contention", Contention.RunAsync),
    ("loopback", Loopback.RunAsync),
    ("waiting-room", WaitingRoom.RunAsync),
    ("scenarios", Scenarios.RunAsync),
    ("scale", Scale.RunAsync),
];

string[] names = [.. args.Where(static a => a != "--quick")];
if (names.Except(measurements.Select(static m => m.Name)).FirstOrDefault() is { } unknown)
{
    Console.Error.WriteLine($"There is no '{unknown}'. There are: {string.Join(", ", measurements.Select(static m => m.Name))}; and --quick.");
    return 1;
}

var run = new Run(args.Contains("--quick") ? Effort.Quick : Effort.Full);
foreach ((string name, Func<Run, Task> runAsync) in measurements.Where(m => names.Length == 0 || names.Contains(m.Name)))
{
    Console.WriteLine($"== {name}");
    await runAsync(run);
}

return 0;
