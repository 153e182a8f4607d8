using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rules 5.3, 6.1 and 6.6 on a socket, for any bytes that a server answers with: a token request ends with a token or a reason, an API call as that of a
/// plain <see cref="HttpClient"/>, and no secret is in a message or goes to another origin.
/// </summary>
/// <remarks>The settings of <see cref="FuzzTests"/> hold here too; <c>SPARKFLY_FUZZ_WIRE_INPUTS</c> makes the long tests longer.</remarks>
[NonParallelizable]
public class WireFuzzTests
{
    private const int Short = 150;
    private const int Long = 2_500;
    private const int WorkersPerProcessor = 4;

    private const string Identity = "account+<17>&'zqj'-6f8a3b";
    private const string Key = "K/e%y=\"b3d9\\1c7a&f4+e8~0z-5d2c9e";
    private const string Token = "5eed0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

    private static readonly SecretFinder s_finder = new(Identity, Key, Token);

    [TestCase(Short)]
    [TestCase(Long, Category = "Long")]
    public async Task Any_bytes_in_answer_to_a_token_request_give_a_token_or_a_reason_and_no_message_holds_a_secret(int inputs)
    {
        var run = new FuzzRun(Inputs(inputs));
        var ends = new ConcurrentDictionary<string, int>();
        await run.ForEachAsync(
            worker => new TokenRequests(run.Seed),
            async (requests, input) => ends.AddOrUpdate(await requests.CheckAsync(input), 1, static (_, count) => count + 1),
            WorkersPerProcessor);

        run.Passes(string.Join(", ", ends.OrderBy(static e => e.Key, StringComparer.Ordinal).Select(static e => $"{e.Key} {e.Value}")));
        Assert.That(run.IsSingle || (ends.ContainsKey("token") && ends.Count > 5), Is.True, "the inputs reach the cases");
    }

    [TestCase(Short)]
    [TestCase(Long, Category = "Long")]
    public async Task Any_bytes_in_answer_to_an_API_call_end_as_with_a_plain_client_and_no_other_origin_gets_the_token(int inputs)
    {
        var run = new FuzzRun(Inputs(inputs));
        var ends = new ConcurrentDictionary<string, int>();
        await run.ForEachAsync(
            worker => new Calls(run.Seed),
            async (calls, input) => ends.AddOrUpdate(await calls.CheckAsync(input), 1, static (_, count) => count + 1),
            WorkersPerProcessor);

        run.Passes(string.Join(", ", ends.OrderBy(static e => e.Key, StringComparer.Ordinal).Select(static e => $"{e.Key} {e.Value}")));
        Assert.That(run.IsSingle || (ends.ContainsKey("200") && ends.ContainsKey("401") && ends.Count > 5), Is.True, "the inputs reach the cases");
    }

    /// <summary>The limits are those of the error text, of a 401's body that is kept, and of what the platform drains.</summary>
    [Test]
    public async Task Of_an_endless_body_a_bounded_part_is_read([Values("/auth", "401", "redirect")] string what)
    {
        await using var server = new ByteServer((path, _) =>
        {
            bool isAuth = path.EndsWith("/auth", StringComparison.Ordinal);
            return isAuth && what != "/auth" ? Reply("204 No Content", $"X-Auth-Token: {Token}", false)
                : path.EndsWith("/hop", StringComparison.Ordinal) ? Reply("204 No Content", "X: 1", false)
                : isAuth ? Reply("500 Oh", "X: 1", true)
                : what == "401" ? Reply("401 No", "X: 1", true)
                : Reply("302 Found", "Location: hop", true);

            static ByteReply Reply(string status, string header, bool isEndless) =>
                new(Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\n{header}\r\n{(isEndless ? "Content-Length: 9999999999" : "X: 2")}\r\n\r\n"), ByteEnd.Wait, Endless: isEndless);
        });
        await using TestApp app = new(services =>
        {
            services.AddSparkflyAuth(options => (options.BaseAddress, options.Identity, options.Key) = (server.BaseAddress, Identity, Key));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");

        try
        {
            using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(TestApp.Patience);
        }
        catch (SparkflyAuthenticationException)
        {
            Assert.That(what, Is.EqualTo("/auth"));
        }

        await server.Idle().WaitAsync(TestApp.Patience);
        Assert.That(server.MostSent, Is.GreaterThan(0).And.LessThan(ByteServer.MostEndless / 2), "the rest is in buffers of the system");
    }

    private static int Inputs(int inputs) => inputs == Long ? FuzzRun.Setting("SPARKFLY_FUZZ_WIRE_INPUTS") ?? Long : inputs;

    private static void Require(bool isTrue, string problem)
    {
        if (!isTrue)
        {
            throw new AssertionException(problem);
        }
    }

    private static void ShowsNoSecret(string text)
    {
        if (s_finder.In(text) is { } found)
        {
            throw new AssertionException($"{found} is in: {text}");
        }
    }

    /// <summary>Without a stack, and without texts: types and errors, from the outside in.</summary>
    private static string Shape(Exception? exception) => exception switch
    {
        null => "",

        // What is wrong with the response is not told by ours where that shows the token.
        HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse } => $"{exception.GetType().Name}(InvalidResponse) ",
        HttpRequestException http => $"{http.GetType().Name}({http.HttpRequestError}) {Shape(http.InnerException)}",
        HttpIOException io => $"{io.GetType().Name}({io.HttpRequestError}) {Shape(io.InnerException)}",
        _ => $"{exception.GetType().Name} {Shape(exception.InnerException)}",
    };

    private abstract class Worker : IFuzzed
    {
        private readonly ServiceProvider _services;
        private readonly ConcurrentQueue<SocketsHttpHandler> _handlers = new();

        protected Worker(int seed)
        {
            Seed = seed;
            Server = new ByteServer(Answer);
            var services = new ServiceCollection();
            services.AddSingleton<TimeProvider>(Time);
            services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(new SecretSweep.Provider(Seen.Enqueue)));
            services.AddSparkflyAuth(options =>
            {
                options.BaseAddress = Server.BaseAddress;
                (options.Identity, options.Key, options.UnauthorizedRefreshInterval) = (Identity, Key, TimeSpan.Zero);
            }).ConfigureAuthClient(client => client.RedactLoggedHeaders(static _ => false).ConfigurePrimaryHttpMessageHandler(() => NewHandler(isPooled: true)));
            services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => NewHandler(isPooled: false));

            // With the factory's loggers too: headers that they have read may look different from then on.
            services.AddHttpClient("plain", client => client.BaseAddress = Server.BaseAddress)
                .ConfigurePrimaryHttpMessageHandler(() => NewHandler(isPooled: false));
            _services = services.BuildServiceProvider();
        }

        protected FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

        protected ConcurrentQueue<string> Seen { get; } = new();

        protected IServiceProvider Services => _services;

        protected ByteServer Server { get; }

        protected int Seed { get; }

        public async ValueTask DisposeAsync()
        {
            await _services.DisposeAsync();

            // The factory leaves them to the garbage collector, and their connections open until then.
            foreach (SocketsHttpHandler handler in _handlers)
            {
                handler.Dispose();
            }

            await Server.DisposeAsync();
        }

        public string Describe(long input)
        {
            (HostileReply reply, ByteReply bytes) = Make(input);
            return $"{reply}\n{bytes.End}:\n{HostileReply.Printable(Encoding.Latin1.GetString(bytes.Bytes))}";
        }

        protected abstract ByteReply Answer(string path, bool isHome);

        protected abstract string[] Known { get; }

        protected (HostileReply Reply, ByteReply Bytes) Make(long input)
        {
            var replies = new HostileReplies(Seed, input, Known);
            HostileReply reply = replies.Next();
            Random random = HostileReplies.RandomOf(Seed, input);
            return (reply, new ByteReply(
                reply.End == ReplyEnd.None ? [] : replies.Bytes(reply),
                random.Next(12) switch { 0 => ByteEnd.Reset, < 4 => ByteEnd.Close, _ => ByteEnd.Wait },
                IsDribbled: random.Next(20) == 0,
                Endless: reply.End == ReplyEnd.Endless && random.Next(10) == 0));
        }

        private SocketsHttpHandler NewHandler(bool isPooled)
        {
            SocketsHttpHandler handler = new Network(_ => Server.BaseAddress).Handler();

            // Ours keeps none for Sparkfly, and an odd one that a plain client keeps makes its later requests fail.
            handler.UseCookies = isPooled;
            handler.PooledConnectionLifetime = isPooled ? Timeout.InfiniteTimeSpan : TimeSpan.Zero;
            _handlers.Enqueue(handler);
            return handler;
        }

        protected void ShowsNoSecretInLog()
        {
            while (Seen.TryDequeue(out string? seen))
            {
                // The factory shows the names of a response's headers, and an API's response is the caller's, with each name.
                if (!seen.Contains("HttpClient.plain.", StringComparison.Ordinal) && !seen.Contains("api.ClientHandler[103]", StringComparison.Ordinal) && !seen.Contains("api.LogicalHandler[103]", StringComparison.Ordinal))
                {
                    ShowsNoSecret(seen);
                }
            }
        }
    }

    private sealed class TokenRequests(int seed) : Worker(seed)
    {
        private volatile ByteReply _reply = new([], ByteEnd.Close);

        public async Task<string> CheckAsync(long input)
        {
            _reply = Make(input).Bytes;
            var source = new SparkflyAuthClient(
                SparkflyAuthClient.ClientName(""),
                Services.GetRequiredService<IHttpClientFactory>(),
                Services.GetRequiredService<AuthEndpoints>(),
                Services.GetRequiredService<SparkflyMetrics>(),
                Time);
            AccountSettings settings = Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!.Settings;

            TokenResponse response = await source.ObtainAsync(
                new TokenRequest(settings, new SparkflyToken(Token, Time.GetUtcNow(), Time.GetUtcNow())), CancellationToken.None);

            ShowsNoSecretInLog();
            if (response.Failure is not { } failure)
            {
                Require(response.Token is { Value.Length: > 0 } token && token.Value.All(static c => c is >= '!' and <= '~' and not ','), "neither a token nor a reason");
                return "token";
            }

            ShowsNoSecret($"{failure.Message} {failure.Cause}");
            Require(failure.Message.Length < 2_000 && !failure.Message.Any(char.IsControl), $"not a line: {failure.Message}");
            Require(failure.Status is not null || failure.Cause is HttpRequestException, $"an exception that is not the platform's: {failure.Cause}");
            return failure.Status is { } status ? $"{(int)status / 100}xx" : Shape(failure.Cause).Split(' ')[0];
        }

        protected override string[] Known => [Identity, Key, Token];

        protected override ByteReply Answer(string path, bool isHome) => _reply;
    }

    private sealed class Calls : Worker
    {
        private readonly HttpClient _plain;
        private readonly HttpClient _ours;
        private long _input;
        private volatile bool _hasReset;
        private volatile bool _hasLeft;

        public Calls(int seed)
            : base(seed)
        {
            _plain = Services.GetRequiredService<IHttpClientFactory>().CreateClient("plain");
            _ours = Services.GetRequiredService<IHttpClientFactory>().CreateClient("api");
        }

        /// <summary>Of all secrets, the API gets the token, as long as a redirect has not led away.</summary>
        protected override string[] Known => [_hasLeft ? "no secret of anyone's" : Token];

        public async Task<string> CheckAsync(long input)
        {
            Volatile.Write(ref _input, input);
            string plain = "";
            string ours = "";

            // On a busy machine a connection may end before all has arrived: what differs three times differs.
            for (int i = 0; i < 3 && (i == 0 || plain != ours); i++)
            {
                _hasReset = false;
                _hasLeft = false;
                plain = await CallAsync(_plain, hasBody: input % 4 == 0);
                _hasLeft = false;
                ours = await CallAsync(_ours, hasBody: input % 4 == 0);
                ShowsNoSecretInLog();
                Require(!Server.HasLeaked, "another origin got the token");
                Time.Advance(TimeSpan.FromHours(25));
                if (_hasReset)
                {
                    // How much arrives before that is a matter of time.
                    return "reset";
                }
            }

            // A plain client throws for a Location such as javascript:0. Ours does not follow it, and the caller gets the response.
            bool isOddLocation = plain.StartsWith(nameof(UriFormatException), StringComparison.Ordinal) && ours.StartsWith("30", StringComparison.Ordinal);
            Require(plain == ours || isOddLocation, $"a plain client has\n{plain}\nand ours has\n{ours}\n");
            return ours.Split(' ')[0];
        }

        protected override ByteReply Answer(string path, bool isHome)
        {
            if (path.EndsWith("/auth", StringComparison.Ordinal))
            {
                return new ByteReply(Encoding.ASCII.GetBytes($"HTTP/1.1 204 No Content\r\nX-Auth-Token: {Token}\r\n\r\n"), ByteEnd.Wait);
            }

            _hasLeft |= !isHome;

            // Each hop of a redirect has a reply of its own, the same for both clients.
            long input = Volatile.Read(ref _input);
            ByteReply reply = Make(path.EndsWith("/offers", StringComparison.Ordinal) ? input : input + Digest(path)).Bytes;
            _hasReset |= reply.End == ByteEnd.Reset;
            return reply;
        }

        private static long Digest(string path) => 1 + (BitConverter.ToUInt32(SHA256.HashData(Encoding.UTF8.GetBytes(path))) * 1_000_000L);

        private async Task<string> CallAsync(HttpClient client, bool hasBody)
        {
            using var request = new HttpRequestMessage(hasBody ? HttpMethod.Post : HttpMethod.Get, "offers");
            request.Content = hasBody ? new StringContent("a body") : null;
            string status = "";
            try
            {
                using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
                status = ((int)response.StatusCode).ToString(CultureInfo.InvariantCulture);
                string head = $"{status} {response.ReasonPhrase} {request.Method} {request.RequestUri}\n{Show(response.Headers)}\n{Show(response.Content.Headers)}";
                byte[] body = await ReadAsync(await response.Content.ReadAsStreamAsync());
                return $"{head}\n{body.Length} bytes {Convert.ToHexString(SHA256.HashData(body))}";
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException or InvalidOperationException or UriFormatException or TaskCanceledException)
            {
                if (client == _ours && status.Length == 0)
                {
                    ShowsNoSecret(exception.ToString());
                }

                return status.Length > 0 ? $"{status} {Shape(exception)}" : Shape(exception);
            }
        }

        private static string Show(HttpHeaders headers) => string.Join('\n', headers.NonValidated.Select(static h => $"{h.Key}: {h.Value}"));

        private static async Task<byte[]> ReadAsync(Stream body)
        {
            using var read = new MemoryStream();
            byte[] buffer = new byte[8192];
            while (read.Length < 1_000_000 && await body.ReadAsync(buffer) is > 0 and int count)
            {
                read.Write(buffer, 0, count);
            }

            // Of an endless one, as much as both have.
            read.SetLength(Math.Min(read.Length, 1_000_000));
            return read.ToArray();
        }
    }

    private enum ByteEnd
    {
        /// <summary>Waits a moment for the next request, then closes the connection.</summary>
        Wait,
        Close,
        Reset,
    }

    private sealed record ByteReply(byte[] Bytes, ByteEnd End, bool IsDribbled = false, bool Endless = false);

    /// <summary>A server that answers each request with any bytes, and closes a connection on which nothing comes.</summary>
    private sealed class ByteServer : IAsyncDisposable
    {
        public const int MostEndless = 64 << 20;

        private static readonly TimeSpan s_moment = TimeSpan.FromMilliseconds(30);

        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly Func<string, bool, ByteReply> _answer;
        private readonly CancellationTokenSource _ended = new();
        private readonly Task _accepting;
        private int _connections;
        private long _mostSent;

        public ByteServer(Func<string, bool, ByteReply> answer)
        {
            _answer = answer;
            _listener.Start(100);
            _accepting = AcceptAsync();
        }

        public Uri BaseAddress => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/v1.0/");

        /// <summary>Whether a request to another host had the token.</summary>
        public bool HasLeaked { get; private set; }

        /// <summary>The most bytes of one endless body.</summary>
        public long MostSent => Volatile.Read(ref _mostSent);

        /// <summary>Waits until no connection is open.</summary>
        public async Task Idle()
        {
            while (Volatile.Read(ref _connections) > 0)
            {
                await Task.Delay(20);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _ended.CancelAsync();
            _listener.Dispose();
            await _accepting;
            await Idle();
            _ended.Dispose();
        }

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                {
                    Socket socket = await _listener.AcceptSocketAsync(_ended.Token);
                    Interlocked.Increment(ref _connections);
                    _ = ServeAsync(socket);
                }
            }
            catch (Exception exception) when (exception is OperationCanceledException or SocketException or InvalidOperationException)
            {
                // The listener has ended.
            }
        }

        private async Task ServeAsync(Socket socket)
        {
            try
            {
                using Socket connection = socket;
                connection.NoDelay = true;
                string received = "";
                bool isFirst = true;
                byte[] buffer = new byte[4096];
                while (true)
                {
                    using var moment = CancellationTokenSource.CreateLinkedTokenSource(_ended.Token);
                    moment.CancelAfter(received.Length == 0 && !isFirst ? s_moment : TestApp.Patience);
                    int count = await connection.ReceiveAsync(buffer, SocketFlags.None, moment.Token);
                    if (count == 0)
                    {
                        return;
                    }

                    received += Encoding.Latin1.GetString(buffer, 0, count);
                    if (received[0] == '\u0016')
                    {
                        // TLS.
                        return;
                    }

                    int head = received.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
                    if (head < 4 || received.Length < head + BodyLength(received[..head]))
                    {
                        continue;
                    }

                    ByteReply reply = AnswerTo(received[..head]);
                    received = "";
                    isFirst = false;
                    if (!await SendAsync(connection, reply))
                    {
                        return;
                    }
                }
            }
            catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                // The client has gone, or nothing came.
            }
            finally
            {
                Interlocked.Decrement(ref _connections);
            }
        }

        private static int BodyLength(string head) =>
            head.IndexOf("\r\nContent-Length: ", StringComparison.OrdinalIgnoreCase) is >= 0 and int at
                ? int.Parse(head.AsSpan(at + 18, head.IndexOf("\r\n", at + 2, StringComparison.Ordinal) - at - 18), CultureInfo.InvariantCulture)
                : 0;

        private ByteReply AnswerTo(string head)
        {
            string path = head.Split(' ')[1];
            bool hasToken = head.Contains("\r\nX-Auth-Token: ", StringComparison.OrdinalIgnoreCase);
            bool isHome = head.Contains($"\r\nHost: {BaseAddress.Authority}\r\n", StringComparison.OrdinalIgnoreCase);
            HasLeaked |= hasToken && !isHome;
            return _answer(path, isHome);
        }

        private async Task<bool> SendAsync(Socket connection, ByteReply reply)
        {
            for (int at = 0; at < reply.Bytes.Length;)
            {
                int length = reply.IsDribbled && at < 200 ? 1 : reply.Bytes.Length - at;
                await connection.SendAsync(reply.Bytes.AsMemory(at, length), SocketFlags.None, _ended.Token);
                at += length;
                await Task.Yield();
            }

            if (reply.Endless)
            {
                byte[] more = new byte[64 << 10];
                more.AsSpan().Fill((byte)' ');
                for (long sent = 0; sent < MostEndless; sent += more.Length)
                {
                    Volatile.Write(ref _mostSent, Math.Max(_mostSent, sent));
                    await connection.SendAsync(more, SocketFlags.None, _ended.Token);
                }
            }

            if (reply.End == ByteEnd.Reset)
            {
                connection.LingerState = new LingerOption(true, 0);
            }

            return reply.End == ByteEnd.Wait;
        }
    }
}
