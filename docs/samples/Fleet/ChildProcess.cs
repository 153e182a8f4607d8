using System.Diagnostics;

namespace Fleet;

/// <summary>A process that this sample starts, and that ends with it.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;

    private ChildProcess(Process process)
    {
        _process = process;
        AppDomain.CurrentDomain.ProcessExit += Kill;
    }

    public StreamReader Output => _process.StandardOutput;

    /// <summary>Runs <c>dotnet</c> with these arguments and environment variables.</summary>
    public static ChildProcess DotNet(string[] arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", arguments)
        {
            // The tools' manifest, dotnet-tools.json, is in a folder above.
            WorkingDirectory = AppContext.BaseDirectory,
            RedirectStandardOutput = true,
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        return new ChildProcess(Process.Start(start)!);
    }

    /// <summary>Waits for its end, and copies what it writes to the console.</summary>
    public async Task<int> EndAsync()
    {
        Console.Write(await Output.ReadToEndAsync());
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        Kill(null, EventArgs.Empty);
        await _process.WaitForExitAsync();
        AppDomain.CurrentDomain.ProcessExit -= Kill;
        _process.Dispose();
    }

    // This process and its children only. The "dotnet tool run" process has one: the server.
    private void Kill(object? sender, EventArgs args) => _process.Kill(entireProcessTree: true);
}
