using System.Globalization;
using SparkflyStandIn;

// A Sparkfly to try an application against: dotnet run --project docs/samples/SparkflyStandIn -- [port] [--root] [--wall] [--empty-errors]
//   --root          has /auth at the root of the host, and not under /v1.0
//   --wall          answers 401 to all under /v1.0 without a good token, before it looks at the path
//   --empty-errors  answers 401 without a body
string? port = args.FirstOrDefault(static a => !a.StartsWith('-'));
var options = new StandInOptions
{
    Port = port is null ? 5280 : int.Parse(port, CultureInfo.InvariantCulture),
    AuthPath = args.Contains("--root") ? "/auth" : "/v1.0/auth",
    HasWall = args.Contains("--wall"),
    HasEmptyErrors = args.Contains("--empty-errors"),
    Accounts = new Dictionary<string, string> { ["stand-in-second"] = "stand-in-second-key" },
};
await using StandInServer server = await StandInServer.StartAsync(options);
Console.WriteLine($"""
    A stand-in for Sparkfly listens. To call it:

      export Sparkfly__BaseAddress={server.BaseAddress}
      export Sparkfly__Identity={options.Identity}
      export Sparkfly__Key={options.Key}

    A second account is stand-in-second, with the key stand-in-second-key.
    Its paths are offers and members; any other is answered with 404.
    To revoke every token: curl -X POST {new Uri(server.BaseAddress, "/standin/revoke")}
    Ctrl+C ends it.
    """);
await server.WaitForShutdownAsync();
