using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A message on the wire, whichever wire that is.</summary>
/// <param name="Method">Its method.</param>
/// <param name="Address">Where it arrived.</param>
/// <param name="Header">Its headers.</param>
/// <param name="Body">Its body; null where there is none.</param>
/// <param name="IsOnSocket">Whether the platform has sent it, which adds trace headers.</param>
internal sealed record ChaosMessage(HttpMethod Method, Uri Address, Func<string, string?> Header, string? Body, bool IsOnSocket);

/// <summary>What the service does with a message.</summary>
internal sealed record ChaosAnswer(HttpStatusCode Status)
{
    /// <summary>The connection is broken instead of an answer.</summary>
    public bool IsReset { get; init; }

    public string? Location { get; init; }

    public string? RetryAfter { get; init; }

    public string? Token { get; init; }

    public string Body { get; init; } = "";
}

/// <summary>
/// Sparkfly, and every other host. Answers as <see cref="ChaosCall.Kind"/> says, and checks what must be true of each message: the token is its
/// account's, its instance's, not expired, not replaced, and at no other origin; an accepted <c>POST</c> does not come twice; the trace headers and the
/// body are its own.
/// </summary>
internal sealed class ChaosService(ChaosTally tally, int seed)
{
    public const string Home = "sparkfly.test";
    public const string OtherHome = "other.test";
    public const string Elsewhere = "elsewhere.test";

    /// <summary>On each token request: which instance sends it.</summary>
    public const string InstanceHeader = "X-Instance";

    /// <summary>Some messages of one attempt: three sends with redirects in between.</summary>
    private const int MostMessages = 9;

    private readonly ChaosDeck<ChaosAnswer?> _tokenRequests = new(new Random(seed),
    [
        (null, 85),
        (new(HttpStatusCode.ServiceUnavailable) { RetryAfter = "7" }, 5),
        (new(HttpStatusCode.Unauthorized), 1),
        (new(HttpStatusCode.OK) { IsReset = true }, 4),
        (new(HttpStatusCode.BadGateway), 5),
    ]);

    private readonly ChaosDeck<int> _yields = new(new Random(seed), Enumerable.Range(0, 30).Select(static n => (n, 1)));
    private readonly HashSet<ulong> _spans = [];
    private readonly ConcurrentDictionary<(string Instance, string Identity), ChaosLedger> _ledgers = new();

    public ChaosTraffic Traffic { get; } = new();

    public IEnumerable<ChaosLedger> Ledgers => _ledgers.Values;

    /// <summary>Knows the instance from now on.</summary>
    public void Add(string instance, ChaosLedger ledger) => _ledgers[(instance, ledger.Credentials.Identity)] = ledger;

    public Task<ChaosAnswer> AnswerAsync(ChaosMessage message) => message.Address.AbsolutePath.EndsWith("/auth", StringComparison.Ordinal)
        ? AnswerTokenRequestAsync(message)
        : AnswerCallAsync(message);

    private async Task<ChaosAnswer> AnswerTokenRequestAsync(ChaosMessage message)
    {
        if (!_ledgers.TryGetValue((message.Header(InstanceHeader) ?? "", message.Header("X-Auth-Identity") ?? ""), out ChaosLedger? ledger) ||
            ledger.Credentials.VersionOf(message.Header("X-Auth-Key")) is not { } keyVersion ||
            ledger.Credentials.Host != message.Address.Host)
        {
            tally.Problem($"a token request to {message.Address} with credentials that are not of this instance and origin");
            return new ChaosAnswer(HttpStatusCode.Unauthorized);
        }

        ledger.NoteArrival(keyVersion);
        DateTimeOffset at = ledger.Time.GetUtcNow();
        for (int yields = _yields.Draw(); yields > 0; yields--)
        {
            await Task.Yield();
        }

        // A token whose use would be over on arrival is refused by the client too.
        ChaosAnswer answer = ledger.Time.GetUtcNow() >= at + ledger.Credentials.UsableLife
            ? new ChaosAnswer(HttpStatusCode.BadGateway)
            : _tokenRequests.Draw() ?? new ChaosAnswer(HttpStatusCode.NoContent) { Token = ledger.Credentials.Issue(keyVersion, at, ledger) };
        ledger.NoteEnd(keyVersion, answer.Token is not null);
        tally.Count(answer.Token is not null ? "token issued" : answer.IsReset ? "token request reset" : $"token request refused {(int)answer.Status}");
        return answer;
    }

    private async Task<ChaosAnswer> AnswerCallAsync(ChaosMessage message)
    {
        string id = message.Address.Query is { Length: > 0 } query ? query[1..] : "";
        string number = message.Header(ChaosTraffic.AttemptHeader) ?? "";
        if (!Traffic.Calls.TryGetValue(id, out ChaosCall? call) || !Traffic.Attempts.TryGetValue(number, out ChaosAttempt? attempt))
        {
            // Its caller has cancelled it, or has another attempt's answer, and has gone.
            tally.Count("late message");
            return new ChaosAnswer(HttpStatusCode.Gone);
        }

        string kind = message.Address.Segments[^1];
        CheckOnce(message, call, attempt);
        CheckBody(message, call);
        CheckTrace(message, call);
        bool isWelcome = CheckToken(message, call, kind);
        tally.Count(kind);
        if (kind == "slow")
        {
            await Task.Yield();
            await Task.Yield();
        }

        ChaosAnswer answer = isWelcome ? Answer(message, call, kind) : new ChaosAnswer(HttpStatusCode.Unauthorized);
        if (message.Method == HttpMethod.Post && !answer.IsReset && (int)answer.Status is (>= 200 and < 300) or (>= 300 and <= 303))
        {
            attempt.Accept();
        }

        return answer with { Body = id };
    }

    private static ChaosAnswer Answer(ChaosMessage message, ChaosCall call, string kind)
    {
        (string id, string home) = (call.Id, call.Ledger.Credentials.Host);
        string stranger = home == Home ? OtherHome : Home;
        return kind switch
        {
            "refuse" => new(HttpStatusCode.Unauthorized),
            "error" => new(HttpStatusCode.InternalServerError),

            // The platform itself sends a message without a body again where its connection breaks.
            "reset" when message.Body is not null => new(HttpStatusCode.OK) { IsReset = true },
            "accepted" => new(HttpStatusCode.Accepted),
            "found" => new(HttpStatusCode.Found) { Location = $"/v1.0/plain?{id}" },
            "temporary" => new(HttpStatusCode.TemporaryRedirect) { Location = $"/v1.0/plain?{id}" },
            "permanent" => new(HttpStatusCode.PermanentRedirect) { Location = $"http://{home}/v1.0/slow?{id}" },
            "away" => new(HttpStatusCode.TemporaryRedirect) { Location = $"http://{Elsewhere}/v1.0/plain?{id}" },
            "stray" => new(HttpStatusCode.PermanentRedirect) { Location = $"http://{stranger}/v1.0/plain?{id}" },
            "round" => new(HttpStatusCode.Found) { Location = $"http://{Elsewhere}/v1.0/back?{id}" },
            "back" => new(HttpStatusCode.TemporaryRedirect) { Location = $"http://{home}/v1.0/returned?{id}" },
            _ => new(HttpStatusCode.OK),
        };
    }

    private void CheckOnce(ChaosMessage message, ChaosCall call, ChaosAttempt attempt)
    {
        if (attempt.IsAccepted && message.Method == HttpMethod.Post)
        {
            tally.Problem($"{call}: a POST was accepted, and was sent again");
        }

        if (attempt.CountMessage() is var messages && messages > MostMessages)
        {
            tally.Problem($"{call}: message {messages} of one attempt");
        }
    }

    private void CheckBody(ChaosMessage message, ChaosCall call)
    {
        bool isRight = message.Method == HttpMethod.Post ? message.Body == call.Id || message.Body == $"[\"{call.Id}\"]" : message.Body is null;
        if (!isRight)
        {
            tally.Problem($"{call}: a {message.Method} arrived with the body '{message.Body}'");
        }
    }

    private void CheckTrace(ChaosMessage message, ChaosCall call)
    {
        if (!message.IsOnSocket)
        {
            return;
        }

        string trace = message.Header("traceparent") ?? "(none)";
        if (!ActivityContext.TryParse(trace, null, out ActivityContext parsed))
        {
            tally.Problem($"{call}: the traceparent of a message is '{trace}'");
            return;
        }

        lock (_spans)
        {
            if (!_spans.Add(Convert.ToUInt64(parsed.SpanId.ToHexString(), 16)))
            {
                tally.Problem($"{call}: two messages have the traceparent {trace}");
            }
        }
    }

    /// <returns>Whether the service accepts the message.</returns>
    private bool CheckToken(ChaosMessage message, ChaosCall call, string kind)
    {
        string? token = message.Header("X-Auth-Token");
        ChaosCredentials credentials = call.Ledger.Credentials;
        if (message.Address.Host != credentials.Host)
        {
            if (token is not null)
            {
                tally.Problem($"{call}: a token left for {message.Address.Host}");
            }

            return true;
        }

        // Only "back" leads here, from elsewhere.
        bool hasReturned = kind == "returned";
        if (hasReturned)
        {
            if (token is not null)
            {
                tally.Problem($"{call}: a token was given to a redirect chain that had left the origin");
            }

            return false;
        }

        if (credentials.Find(token) is not { } issued)
        {
            tally.Problem($"{call}: left with {(token is null ? "no token" : "a token that is not its account's")}");
            return false;
        }

        // What was true when the caller sent it; what happens on its way is nobody's fault.
        ChaosLedger ledger = call.Ledger;
        if (!ledger.MayUse(issued))
        {
            tally.Problem($"{call}: left with a token of another instance");
        }

        if (issued.At + credentials.UsableLife + ledger.Skew <= call.At)
        {
            tally.Problem($"{call}: left with a token of {issued.At:T}, which had expired");
        }

        if (issued.KeyVersion < call.KeyVersion)
        {
            tally.Problem($"{call}: left with a token of key {issued.KeyVersion} when key {call.KeyVersion} was configured");
        }

        // A new key reaches one account after another, so that a token of a key that not all have yet replaces none. Where clocks are apart, the order of
        // two tokens is known only as far as they are.
        if (call.NewestInUse is { } newest &&
            newest.KeyVersion <= call.KeyVersion &&
            issued.Order < newest.Order &&
            issued.At + ledger.Skew <= newest.At)
        {
            tally.Problem($"{call}: left with {issued} when {newest} had replaced it");
        }

        ledger.NoteUse(issued);
        return credentials.IsGood(issued, ledger.Time.GetUtcNow());
    }
}
