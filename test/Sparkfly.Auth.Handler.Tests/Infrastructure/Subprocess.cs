using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// A process that ends with the test, with all that it has started: by itself when its input ends, or killed. Its errors are swept for secrets.
/// </summary>
internal sealed class Subprocess : IAsyncDisposable
{
    // Twenty of these start on two cores that have other work.
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan s_patienceAtTheEnd = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly ConcurrentQueue<string> _errors = new();

    private Subprocess(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => _ = line.Data is { } text ? _lines.Writer.TryWrite(text) : _lines.Writer.TryComplete();
        _process.ErrorDataReceived += (_, line) => Note(line.Data);
        AppDomain.CurrentDomain.ProcessExit += KillNow;
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>What it has written to its standard error so far.</summary>
    public string Errors => string.Join('\n', _errors);

    /// <summary>Starts the .NET host, in the root of the repository.</summary>
    public static Subprocess DotNet(string[] arguments, params (string Name, string Value)[] environment) =>
        Start(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", arguments, environment);

    /// <summary>Starts a program, in the root of the repository.</summary>
    public static Subprocess Start(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Document.Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        return new Subprocess(start);
    }

    /// <summary>The next line of its output.</summary>
    public async Task<string> ReadLineAsync()
    {
        try
        {
            return await _lines.Reader.ReadAsync().AsTask().WaitAsync(Patience);
        }
        catch (Exception exception) when (exception is ChannelClosedException or TimeoutException)
        {
            throw new AssertionException($"A process that was to answer did not. It wrote: {Errors}", exception);
        }
    }

    /// <summary>Reads its output up to a line that holds this; false where it ends without one.</summary>
    public async Task<bool> ReadUntilAsync(string text)
    {
        using var patience = new CancellationTokenSource(Patience);
        await foreach (string line in _lines.Reader.ReadAllAsync(patience.Token))
        {
            if (line.Contains(text, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Reads what is left of its output; waits for its end, though not longer than this.</summary>
    public async Task<string> ReadToEndAsync(TimeSpan patience)
    {
        using var end = new CancellationTokenSource(patience);
        return string.Join('\n', await _lines.Reader.ReadAllAsync(end.Token).ToArrayAsync(end.Token));
    }

    public Task WriteLineAsync(string line) => _process.StandardInput.WriteLineAsync(line);

    /// <summary>Waits for its end; its exit code.</summary>
    public async Task<int> EndAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    /// <summary>Ends it at once, and waits until it is gone.</summary>
    public async Task KillAsync()
    {
        KillNow(null, EventArgs.Empty);
        await _process.WaitForExitAsync().WaitAsync(Patience);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
            await _process.WaitForExitAsync().WaitAsync(s_patienceAtTheEnd);
        }
        catch (Exception exception) when (exception is TimeoutException or IOException)
        {
            await KillAsync();
        }

        AppDomain.CurrentDomain.ProcessExit -= KillNow;
        _process.Dispose();
    }

    // Also where the test run is ended in the middle.
    private void KillNow(object? sender, EventArgs args) => _process.Kill(entireProcessTree: true);

    private void Note(string? error)
    {
        if (error is not null)
        {
            _errors.Enqueue(error);
            SecretSweep.Note(error);
        }
    }
}
