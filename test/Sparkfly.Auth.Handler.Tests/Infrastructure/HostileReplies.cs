using System.Globalization;
using System.Net;
using System.Text;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>How a response ends.</summary>
internal enum ReplyEnd
{
    Whole,

    /// <summary>The connection breaks in the body.</summary>
    Broken,

    /// <summary>The body stops, and the connection stays.</summary>
    Silent,

    /// <summary>The body goes on for ever.</summary>
    Endless,

    /// <summary>There is no response.</summary>
    None,
}

/// <summary>What a server sends.</summary>
internal sealed record HostileReply(int Status, string Reason, IReadOnlyList<(string Name, string Value)> Headers, byte[] Body, ReplyEnd End)
{
    /// <summary>Short, without control characters: for a message that says which input has failed.</summary>
    public override string ToString() => Printable(
        $"{Status} {Reason} ({End})\n{string.Join('\n', Headers.Select(static h => $"{h.Name}: {h.Value}"))}\n\n{Encoding.Latin1.GetString(Body)}");

    public static string Printable(string text)
    {
        string shown = string.Concat(text.Take(4_000).Select(static c => c is '\n' || (c >= ' ' && c <= '~') ? $"{c}" : $@"\u{(int)c:x4}"));
        return text.Length > 4_000 ? $"{shown}… ({text.Length} characters)" : shown;
    }
}

/// <summary>
/// Generates server responses, from valid ones to random bytes. The seed and the number of an input determine it, so a failed input can be repeated
/// alone.
/// </summary>
/// <param name="seed">The seed of the run.</param>
/// <param name="input">The number of the input.</param>
/// <param name="secrets">What the server knows, and may repeat.</param>
internal sealed class HostileReplies(int seed, long input, IReadOnlyList<string> secrets)
{
    private static readonly int[] s_statuses =
        [200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 418, 421, 429, 499, 500, 501, 502, 503, 504, 505, 511, 599];

    private static readonly string[] s_names =
    [
        "X-Auth-Token", "x-auth-token", "Retry-After", "Location", "Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Set-Cookie",
        "WWW-Authenticate", "Date", "Cache-Control", "Server", "Via", "Link", "ETag", "Connection", "Transfer-Encoding", "Trailer", "Alt-Svc", "Age",
        "X-Auth-Identity", "X-Auth-Key", "X-Echo", "X-Request-Id", "traceparent", "Expires", "Last-Modified", "Allow", "Vary", "Warning", "Upgrade",
    ];

    private static readonly string[] s_words =
        ["Invalid", "credentials", "error", "trace", "token", "the", "null", "account", "17", "https://sparkfly.test/", "<html>", "é", "…", "🔑", "=", "/"];

    private static readonly string[] s_odd =
    [
        "\0", "\r\n", "\n", "\t", "\u001b[31m", "\u007f", "\u0085", "\u00a0", "\u202e", "\u2028", "\u2029", "\u200b", "\ufeff", "\ufffe", "\ud83d\udd11", "\ud83d",
        "\udd11", "%", "%00", "%zz", "%u0041", "&", "&#", "&amp;", "\\", "\\u", "\"", "'", "{", "}", "{0}", "{Account}", ",", ";", ":", "=?utf-8?q?=41?=",
    ];

    private readonly Random _random = new(unchecked((seed * 1_000_003) ^ (int)(input * 2_654_435_761)));

    public static Random RandomOf(int seed, long input) => new(unchecked((seed * 7_368_787) ^ (int)(input * 2_654_435_761)));

    public HostileReply Next()
    {
        HostileReply reply = _random.Next(8) switch
        {
            0 => new(204, "No Content", [("X-Auth-Token", Token())], [], ReplyEnd.Whole),
            1 => new(401, "Unauthorized", [("Content-Type", "application/json")], ErrorBody(), ReplyEnd.Whole),
            2 => new(503, "Service Unavailable", [("Retry-After", RetryAfter())], ErrorBody(), ReplyEnd.Whole),
            3 => new(302, "Found", [("Location", Location())], [], ReplyEnd.Whole),
            4 => new(404, "Not Found", [], [], ReplyEnd.Whole),
            5 => new(200, "OK", [("X-Auth-Token", Token()), ("Content-Type", ContentType())], ErrorBody(), ReplyEnd.Whole),
            _ => new(Status(), Text(), [], Body(), ReplyEnd.Whole),
        };
        for (int i = _random.Next(4); i > 0; i--)
        {
            reply = Mutate(reply);
        }

        return reply;
    }

    /// <summary>The reply as bytes: in a valid framing, or in one that is not.</summary>
    public byte[] Bytes(HostileReply reply)
    {
        var head = new StringBuilder();
        if (_random.Next(12) == 0)
        {
            for (int i = _random.Next(20) == 0 ? _random.Next(200) : _random.Next(5); i >= 0; i--)
            {
                head.Append(CultureInfo.InvariantCulture, $"HTTP/1.1 {Pick(100, 102, 103, 199)} Wait\r\n{(_random.Next(3) == 0 ? $"X-Auth-Token: {Token()}\r\n" : "")}\r\n");
            }
        }

        head.Append(_random.Next(40) switch
        {
            0 => $"HTTP/1.0 {reply.Status} {OneLine(reply.Reason)}",
            1 => $"{Pick("HTTP/2", "HTTP/1.2", "HTTP/0.9", "HTTP", "ICY", "", "http/1.1", "HTTP/1.1  ")} {reply.Status} {reply.Reason}",
            2 => $"HTTP/1.1 {Pick("", "2", "20", "2000", "-200", "0200", "abc", "20x", "١٢٣")} {OneLine(reply.Reason)}",
            3 => Text(),
            4 => $"HTTP/1.1 {reply.Status}",
            _ => $"HTTP/1.1 {reply.Status} {OneLine(reply.Reason)}",
        }).Append("\r\n");
        foreach ((string name, string value) in reply.Headers.Where(static h => !IsFraming(h.Name)))
        {
            head.Append(name).Append(_random.Next(50) == 0 ? Pick(" :", "", "::", "\t:", ":\r\n ", ":\0") : ": ").Append(_random.Next(20) == 0 ? value : OneLine(value)).Append("\r\n");
        }

        byte[] body = reply.Body;
        bool hasBody = reply.Status is >= 200 and not 204 and not 304;
        switch (_random.Next(16))
        {
            case 0:
                head.Append(CultureInfo.InvariantCulture, $"Content-Length: {Pick("-1", "99999999999999999999", "abc", "", "1 2", "0x10", $"{body.Length + 7}", $"{body.Length / 2}", "2147483648")}\r\n");
                break;
            case 1:
                head.Append(CultureInfo.InvariantCulture, $"Content-Length: {body.Length}\r\nContent-Length: {body.Length + _random.Next(2)}\r\n");
                break;
            case 2 or 3 or 4 or 5:
                head.Append(_random.Next(10) == 0 ? "Transfer-Encoding: gzip, chunked\r\n" : "Transfer-Encoding: chunked\r\n");
                head.Append(_random.Next(10) == 0 ? $"Content-Length: {body.Length}\r\n" : "");
                body = Chunks(body);
                break;
            case 6:
                head.Append("Connection: close\r\n");
                break;
            default:
                head.Append(hasBody || body.Length > 0 ? $"Content-Length: {body.Length}\r\n" : "");
                break;
        }

        if (_random.Next(30) == 0)
        {
            head.Append("Content-Encoding: ").Append(Pick("gzip", "deflate", "br", "gzip, gzip", "identity", "none")).Append("\r\n");
        }

        head.Append(_random.Next(60) == 0 ? "" : "\r\n");
        byte[] bytes = [.. Encoding.UTF8.GetBytes(head.ToString()), .. body];
        return _random.Next(10) == 0 ? MutateBytes(bytes) : bytes;
    }

    private HostileReply Mutate(HostileReply reply) => _random.Next(14) switch
    {
        0 => reply with { Status = Status() },
        1 => reply with { Reason = Text() },
        2 => reply with { Body = Body() },
        3 => reply with { Body = MutateBytes(reply.Body) },
        4 => reply with { End = Pick(ReplyEnd.Broken, ReplyEnd.Silent, ReplyEnd.Endless, ReplyEnd.None) },
        5 => reply with { Headers = [] },
        6 when reply.Headers.Count > 0 => reply with { Headers = [.. reply.Headers, reply.Headers[^1]] },
        7 => reply with { Headers = [.. reply.Headers, ("X-Auth-Token", Token())] },
        8 when _random.Next(200) == 0 => reply with { Headers = [.. reply.Headers, .. Enumerable.Range(0, _random.Next(2_000)).Select(i => ($"X-{i}", "1"))] },
        _ => reply with { Headers = [.. reply.Headers, (_random.Next(20) == 0 ? Text() : Pick(s_names), Value())] },
    };

    private int Status() => _random.Next(4) == 0 ? _random.Next(0, 1000) : Pick(s_statuses);

    private string Token() => _random.Next(16) switch
    {
        0 => "",
        1 => $" {Hex(64)} ",
        2 => $"{Hex(64)}, {Hex(64)}",
        3 => $"{Hex(64)},",
        4 => Text(),
        5 => Secret(),
        6 => Hex(_random.Next(1, 200)),
        7 => string.Concat(Enumerable.Repeat($"{Hex(2)},", _random.Next(200) == 0 ? 20_000 : 20)),
        8 when _random.Next(200) == 0 => Repeat("aaaaaaab", 60_000),
        9 => $"Bearer {Hex(64)}",
        _ => Hex(64),
    };

    private string RetryAfter() => _random.Next(8) switch
    {
        0 => "0",
        1 => "2147483647",
        2 => Pick("-1", "1.5", "99999999999", "soon", "+3", " 7 ", "1, 2", "٣"),
        3 => "Thu, 01 Jan 2026 00:10:00 GMT",
        4 => "Fri, 31 Dec 9999 23:59:59 GMT",
        5 => "Mon, 01 Jan 0001 00:00:00 GMT",
        6 => Text(),
        _ => _random.Next(0, 4_000).ToString(CultureInfo.InvariantCulture),
    };

    private string Location() => _random.Next(16) switch
    {
        0 => $"https://{Secret()}.evil.example/",
        1 => $"http://evil.example/{Secret()}?{Secret()}#{Secret()}",
        2 => $"https://{Secret()}@evil.example:81",
        3 => Pick("", "/", "//", "///", "?", "#", ".", "..", "http:", "http://", "https://[::1", "http://[::1%25eth0]/", "file:///etc/passwd", "javascript:0", "data:,x"),
        4 => Text(),
        5 => $"//evil.example/{Word()}",
        6 => $"http://{new string('a', 300)}.example/",
        7 => $"http://evil.example:{Pick("0", "65535", "65536", "-1", "x", "")}/",
        8 => $"{Secret()}:{Word()}",
        9 => $"http://xn--{Word()}.é.example/",
        10 => $"/v1.0/hop/{Text()}",
        _ => $"/v1.0/hop/{_random.Next(50)}",
    };

    private string ContentType() =>
        Pick("application/json", "application/json; charset=utf-16", "application/json; charset=\"nonsense\"", "text/html", "", ";", "application/problem+json", Text());

    private string Value() => _random.Next(6) switch
    {
        0 => Token(),
        1 => RetryAfter(),
        2 => Location(),
        3 => ContentType(),
        _ => Text(),
    };

    private byte[] Body() => _random.Next(8) switch
    {
        0 => [],
        1 => Noise(Length()),
        2 => Encoding.UTF8.GetBytes(Text()),
        3 => Encoding.Unicode.GetBytes($"{{\"error\": \"{Text()}\"}}"),
        4 => Encoding.UTF8.GetBytes(Repeat(Pick("[", "{\"error\":", "\"", "0", " "), _random.Next(100) == 0 ? 200_000 : 200)),
        5 => [0x1f, 0x8b, 8, .. Noise(_random.Next(200))],
        _ => ErrorBody(),
    };

    private byte[] ErrorBody()
    {
        string text = _random.Next(3) == 0 ? "Invalid credentials" : Text();
        string json = _random.Next(5) == 0 ? $"\"{text}\"" : System.Text.Json.JsonSerializer.Serialize(text);
        string body = _random.Next(12) switch
        {
            0 => $"{{\"error\": {json}, \"trace\": \"{Word()}\"}}",
            1 => $"{{\"errors\": {{\"base\": [{json}]}}}}",
            2 => $"{{\"parse_error\": {json}}}",
            3 => $"{{\"error\": {Pick("null", "true", "-0", "1e999", "[]", "{}", "[1,[2,[3]]]", "NaN", "")}}}",
            4 => $"{{\"error\": \"first\", \"error\": {json}}}",
            5 => $"\ufeff{{\"error\": {json}}}",
            6 => $"{{\"error\": \"\\ud800{text.Length}\"}}",
            7 => $"<html><body>{text}</body></html>",
            _ => $"{{\"error\": {json}}}",
        };
        return Encoding.UTF8.GetBytes(body);
    }

    private string Text()
    {
        switch (_random.Next(20))
        {
            case 0:
                return "";
            case 1 or 2 or 3 or 4:
                return Secret();
            case 5 or 6 or 7:
                return $"{Word()} {Pick("", "'", "\"", "(", "=", "/", ": ")}{Secret()}{Pick("", "'", "\"", ")", ";", "/", "…")} {Word()}";
            case 8 or 9:
                return $"{Word()}{Pick(s_odd)}{Pick(s_odd)}{Word()}";
            case 10:
                return Repeat(Pick(Word(), "a", "🔑", Pick(s_odd)), Length());
            case 11:
                return new string((char)_random.Next(0x20, 0x7f), Length());
            case 12:
                return string.Concat(Enumerable.Range(0, _random.Next(40)).Select(_ => (char)_random.Next(0, 0x10000)));
            case 13:
                return Encoding.Latin1.GetString(Noise(_random.Next(40)));
            case 14:
                return $"{Repeat("x", 150 + _random.Next(400))}{Secret()}";
            default:
                return string.Join(' ', Enumerable.Range(0, _random.Next(1, 8)).Select(_ => Word()));
        }
    }

    /// <summary>A secret as a server may repeat it: cut, or in one of the usual encodings, or in two.</summary>
    private string Secret()
    {
        string secret = Pick([.. secrets]);
        return _random.Next(14) switch
        {
            0 => secret[..^_random.Next(1, secret.Length / 2)],
            1 => secret[_random.Next(1, secret.Length / 2)..],
            2 => Uri.EscapeDataString(secret),
            3 => string.Concat(secret.Select(static c => $"%{(int)c:x2}")),
            4 => WebUtility.HtmlEncode(secret),
            5 => string.Concat(secret.Select(static c => $"&#{(int)c};")),
            6 => string.Concat(secret.Select(static c => $@"\u{(int)c:x4}")),
            7 => Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Pick("", "a", "ab", "user:")}{secret}{Pick("", ":", "xyz")}")),
            8 => Convert.ToBase64String(Encoding.UTF8.GetBytes(secret)).Replace('+', '-').Replace('/', '_').TrimEnd('='),
            9 => Convert.ToHexString(Encoding.UTF8.GetBytes(secret)),
            10 => Uri.EscapeDataString(WebUtility.HtmlEncode(secret)),
            11 => secret.ToUpperInvariant(),
            _ => secret,
        };
    }

    private byte[] Chunks(byte[] body)
    {
        using var framed = new MemoryStream();
        int at = 0;
        while (at < body.Length)
        {
            int size = Math.Min(body.Length - at, _random.Next(1, 2_000));
            Write(_random.Next(40) == 0 ? Pick("-1", "zz", "", "ffffffffffffffff", $"{size + 3:x}", "0x1", Repeat("0", 5_000)) : $"{size:x}");
            Write(_random.Next(20) == 0 ? $";{OneLine(Text())}\r\n" : "\r\n");
            framed.Write(body, at, size);
            Write(_random.Next(60) == 0 ? Pick("", "\n", "xx") : "\r\n");
            at += size;
        }

        Write(_random.Next(12) == 0 ? Pick("", "0\r\n", "0") : _random.Next(12) == 0 ? $"0\r\nX-Auth-Token: {Token()}\r\nX-Echo: {OneLine(Text())}\r\n\r\n" : "0\r\n\r\n");
        return framed.ToArray();

        void Write(string text) => framed.Write(Encoding.UTF8.GetBytes(text));
    }

    private byte[] MutateBytes(byte[] bytes)
    {
        List<byte> mutated = [.. bytes];
        for (int i = _random.Next(1, 4); i > 0 && mutated.Count > 0; i--)
        {
            int at = _random.Next(mutated.Count);
            switch (_random.Next(5))
            {
                case 0:
                    mutated[at] = (byte)_random.Next(256);
                    break;
                case 1:
                    mutated.Insert(at, Pick<byte>(0, 10, 13, 32, 34, 44, 58, 127, 255));
                    break;
                case 2:
                    mutated.RemoveRange(at, Math.Min(_random.Next(1, 9), mutated.Count - at));
                    break;
                case 3:
                    mutated.RemoveRange(at, mutated.Count - at);
                    break;
                default:
                    mutated.InsertRange(at, mutated.GetRange(at, Math.Min(_random.Next(1, 40), mutated.Count - at)));
                    break;
            }
        }

        return [.. mutated];
    }

    private static bool IsFraming(string name) =>
        name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase) || name.Equals("Transfer-Encoding", StringComparison.OrdinalIgnoreCase);

    private static string OneLine(string text) => text.Replace('\r', ' ').Replace('\n', ' ');

    private static string Repeat(string text, int length) => string.Concat(Enumerable.Repeat(text, Math.Max(1, length / Math.Max(1, text.Length))));

    private int Length() => _random.Next(40) switch
    {
        0 => _random.Next(50) == 0 ? _random.Next(70_000) : _random.Next(2_000),
        < 8 => _random.Next(600),
        _ => _random.Next(24),
    };

    private string Hex(int digits) => string.Concat(Enumerable.Range(0, digits).Select(_ => "0123456789abcdef"[_random.Next(16)]));

    private byte[] Noise(int length)
    {
        byte[] noise = new byte[length];
        _random.NextBytes(noise);
        return noise;
    }

    private string Word() => Pick(s_words);

    private T Pick<T>(params T[] of) => of[_random.Next(of.Length)];
}

/// <summary>Finds a secret in a text: as it is, in part, or in one of the encodings in which a server may repeat it.</summary>
internal sealed class SecretFinder
{
    private const int Part = 12;
    private readonly string[] _forms;

    public SecretFinder(params string[] secrets) => _forms = [.. secrets.SelectMany(Forms).Distinct()];

    /// <summary>The form of a secret that the text holds; null where it holds none.</summary>
    public string? In(string text) => Array.Find(_forms, f => text.Contains(f, StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<string> Forms(string secret)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(secret);
        yield return secret[..Part];
        yield return secret[^Part..];
        yield return string.Concat(secret[^6..].Select(static c => $"%{(int)c:x2}"));
        yield return string.Concat(secret[..6].Select(static c => $"&#{(int)c};"));
        yield return string.Concat(secret[..6].Select(static c => $@"\u{(int)c:x4}"));
        yield return Uri.EscapeDataString(secret[..Part]);
        yield return WebUtility.HtmlEncode(secret[..Part]);
        yield return Convert.ToHexString(bytes)[..(2 * Part)];
        for (int before = 0; before < 3; before++)
        {
            string base64 = Convert.ToBase64String([.. new byte[before], .. bytes])[4..20];
            yield return base64;
            yield return base64.Replace('+', '-').Replace('/', '_');
        }
    }
}
