using Fleet;
using SparkflyStandIn;

// The sample starts itself again, as a second process.
if (args.Contains("--instance"))
{
    await Instance.RunAsync(args);
    return 0;
}

await using StandInServer standIn = await StandInServer.StartAsync();
await using Garnet garnet = await Garnet.StartAsync();
(string Name, string Value)[] settings =
[
    ("ConnectionStrings__Redis", garnet.Address),
    ("Sparkfly__BaseAddress", standIn.BaseAddress.AbsoluteUri),
    ("Sparkfly__Identity", standIn.Options.Identity),
    ("Sparkfly__Key", standIn.Options.Key),
    ("Logging__LogLevel__Default", "Warning"),
    ("Logging__LogLevel__Sparkfly.Auth.Handler", "Information"),
    ("Logging__Console__FormatterName", "simple"),
    ("Logging__Console__FormatterOptions__SingleLine", "true"),
];

for (int instance = 1; instance <= 2; instance++)
{
    await using ChildProcess process = ChildProcess.DotNet([typeof(Instance).Assembly.Location, "--instance"], settings);
    if (await process.EndAsync() != 0)
    {
        return 1;
    }
}

Console.WriteLine($"Two processes made {standIn.ApiRequests} requests with one token: {standIn.TokenRequests} POST /auth in all.");
return standIn is { TokenRequests: 1, ApiRequests: 2 } ? 0 : 1;
