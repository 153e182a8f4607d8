using SparkflyStandIn;

// A Sparkfly to try an application against: dotnet run --project docs/samples/SparkflyStandIn [port]
var options = new StandInOptions { Port = args is [string port] ? int.Parse(port, System.Globalization.CultureInfo.InvariantCulture) : 5280 };
await using StandInServer server = await StandInServer.StartAsync(options);
Console.WriteLine($"""
    A stand-in for Sparkfly listens. To call it:

      export Sparkfly__BaseAddress={server.BaseAddress}
      export Sparkfly__Identity={options.Identity}
      export Sparkfly__Key={options.Key}

    To revoke every token: curl -X POST {new Uri(server.BaseAddress, "/standin/revoke")}
    Ctrl+C ends it.
    """);
await server.WaitForShutdownAsync();
