using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 5.7: a token request whose connection broke without a response is sent once more at once, before anyone is told.</summary>
public class BrokenConnectionTests
{
    /// <summary>How a connection ends without a response.</summary>
    public enum Break
    {
        Closed,
        Reset,
        InTheMiddleOfTheHead,
    }

    /// <summary>Each of them is sent by the platform more than once, where nothing of a response has come.</summary>
    [Test]
    public async Task Twenty_callers_that_wait_notice_nothing_and_it_is_a_second_POST([Values] Break how)
    {
        int sends = 0;
        using var server = new BreakingServer(how, () => sends == 1);
        await using TestApp app = App(server.BaseAddress, onSend: () => sends++);
        using MetricCollector<double> durations = Durations(app);

        SparkflyToken[] tokens = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => app.Tokens.GetTokenAsync().AsTask())).WaitAsync(TestApp.Patience);

        Assert.That(tokens.Select(static t => t.Value).Distinct().Count(), Is.EqualTo(1));
        Assert.That(Outcomes(durations), Is.EqualTo((object[])["failed", "success"]), "each POST is measured");
        Assert.That(sends, Is.EqualTo(2));
        Assert.That(app.Log, Has.None.StartsWith("[Error]"));
    }

    [Test]
    public async Task One_that_breaks_twice_is_told([Values] Break how)
    {
        int sends = 0;
        using var server = new BreakingServer(how, static () => true);
        await using TestApp app = App(server.BaseAddress, onSend: () => sends++);
        using MetricCollector<double> durations = Durations(app);

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain($"POST {server.BaseAddress}auth got no answer ("));
        Assert.That(exception.IsTransient, Is.True);
        Assert.That(Outcomes(durations), Is.EqualTo((object[])["failed", "failed"]));
        Assert.That(sends, Is.EqualTo(2));
    }

    public static TestCaseData[] Others() =>
    [
        Other("a refused connection", new HttpRequestException(HttpRequestError.ConnectionError, "refused", new SocketException((int)SocketError.ConnectionRefused))),
        Other("an unknown name", new HttpRequestException(HttpRequestError.NameResolutionError, "no such host", new SocketException((int)SocketError.HostNotFound))),
        Other("a connection that takes too long", new HttpRequestException(HttpRequestError.ConnectionError, "late", new SocketException((int)SocketError.TimedOut))),
        Other("a certificate", new HttpRequestException(
            HttpRequestError.SecureConnectionError, "untrusted", new System.Security.Authentication.AuthenticationException("untrusted"))),
        Other("a response that is no HTTP", new HttpRequestException(HttpRequestError.InvalidResponse, "no HTTP")),
        Other("a broken protocol, told by a handler of the application's", new HttpIOException(HttpRequestError.HttpProtocolError, "reset")),
        Other("a timeout", new TaskCanceledException("timeout", new TimeoutException())),
        Other("a pipeline that cannot work", new InvalidOperationException("wrong")),
    ];

    [TestCaseSource(nameof(Others))]
    public async Task Nothing_else_is_sent_again(Exception exception)
    {
        using var primary = new ScriptedPrimaryHandler((_, _) => throw exception);
        await using TestApp app = App(SparkflyEnvironments.Staging, primary);

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(primary.Requests, Is.EqualTo(1));
    }

    public static TestCaseData[] Breaks() =>
    [
        Other("while connecting securely", new HttpRequestException(HttpRequestError.SecureConnectionError, "eof", new IOException("eof"))),
        Other("just connected", new HttpRequestException(HttpRequestError.ConnectionError, "reset", new SocketException((int)SocketError.ConnectionReset))),
        Other("without a cause", new HttpRequestException(HttpRequestError.Unknown, "ended", new HttpIOException(HttpRequestError.ResponseEnded, "ended"))),
        Other("told by a handler of the application's", new IOException("reset", new SocketException((int)SocketError.ConnectionReset))),
    ];

    [TestCaseSource(nameof(Breaks))]
    public async Task A_connection_may_also_break(Exception exception)
    {
        using var primary = new ScriptedPrimaryHandler((_, _) => throw exception);
        await using TestApp app = App(SparkflyEnvironments.Staging, primary);

        await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(primary.Requests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_second_one_is_not_sent_after_AuthTimeout()
    {
        TestApp? running = null;
        using var primary = new ScriptedPrimaryHandler((_, _) =>
        {
            running!.Time.Advance(TimeSpan.FromMinutes(1));
            throw new HttpRequestException(HttpRequestError.ResponseEnded, "gone");
        });
        await using TestApp app = App(SparkflyEnvironments.Staging, primary);
        running = app;

        var exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain("AuthTimeout"));
        Assert.That(primary.Requests, Is.EqualTo(1));
    }

    private static TestCaseData Other(string what, Exception exception) => new TestCaseData(exception).SetArgDisplayNames(what);

    private static MetricCollector<double> Durations(TestApp app) => new(
        app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>(), SparkflyMetrics.MeterName, SparkflyMetrics.TokenRequestDuration);

    private static object?[] Outcomes(MetricCollector<double> durations) =>
        [.. durations.GetMeasurementSnapshot().Select(static m => m.Tags[Telemetry.OutcomeTag])];

    private static TestApp App(Uri baseAddress, HttpMessageHandler? primary = null, Action? onSend = null) => new(services => services.AddSparkflyAuth(options =>
    {
        options.BaseAddress = baseAddress;
        (options.Identity, options.Key) = (SecretSweep.NewSecret("identity"), SecretSweep.NewSecret("key"));
    }).ConfigureAuthClient(client =>
    {
        client.AddHttpMessageHandler(() => new InlineHandler((request, send) =>
        {
            onSend?.Invoke();
            return send(request);
        }));
        if (primary is not null)
        {
            client.ConfigurePrimaryHttpMessageHandler(() => primary);
        }
    }));

    /// <summary>A server that breaks the connections of some requests, and answers the others with a token.</summary>
    private sealed class BreakingServer : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly Break _how;
        private readonly Func<bool> _breaks;

        public BreakingServer(Break how, Func<bool> breaks)
        {
            (_how, _breaks) = (how, breaks);
            _listener.Start();
            _ = ServeAsync();
        }

        public Uri BaseAddress => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/v1.0/");

        public void Dispose() => _listener.Dispose();

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    using TcpClient connection = await _listener.AcceptTcpClientAsync();
                    byte[] buffer = new byte[4096];
                    _ = await connection.GetStream().ReadAsync(buffer);
                    bool isBroken = _breaks();
                    connection.LingerState = new LingerOption(isBroken && _how == Break.Reset, 0);
                    string answer = !isBroken ? WireServer.NoContent($"X-Auth-Token: {SecretSweep.NewSecret("token")}", "Connection: close")
                        : _how == Break.InTheMiddleOfTheHead ? "HTTP/1.1 204 No Content\r\nX-Auth"
                        : "";
                    await connection.GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(answer));
                }
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                // The test has ended.
            }
        }
    }
}
