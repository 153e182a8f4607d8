using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>A request that has come to a <see cref="FakeSparkfly"/>, as it would have been on the wire. Immutable.</summary>
[DebuggerDisplay("{ToString(),nq}")]
public sealed class FakeSparkflyRequest
{
    // Where the handler keeps what a token request is made with, the key included.
    private const string TokenExchangeKey = "Sparkfly.Auth.Handler.TokenExchange";

    private volatile string? _outcome;

    internal FakeSparkflyRequest(HttpRequestMessage message, byte[] body, Uri? baseAddress, string? identity)
    {
        Method = message.Method;
        Address = message.RequestUri!;
        RelativePath = RelativeTo(baseAddress, Address);
        IsSparkfly = baseAddress is not null;
        Version = message.Version;
        Options = OptionsOf(message);
        Identity = identity;
        BodyBytes = body;
        Body = EncodingOf(message.Content).GetString(body);
        Headers = HeadersOf(message);
    }

    /// <summary>Gets the method.</summary>
    public HttpMethod Method { get; }

    /// <summary>Gets the absolute address, query included.</summary>
    public Uri Address { get; }

    /// <summary>Gets the path from the root of the host, without the query: <c>/v1.0/offers</c>.</summary>
    public string Path => Address.AbsolutePath;

    /// <summary>
    /// Gets the path as a client with the account's base address writes it, without the query: <c>offers</c> for
    /// <c>https://api-staging.sparkfly.com/v1.0/offers?store=17</c>. Of an address that is not under a base address, the path from the root; of one
    /// at another host than Sparkfly's, the whole of it.
    /// </summary>
    public string RelativePath { get; }

    /// <summary>Gets the HTTP version that the request asks for.</summary>
    public Version Version { get; }

    /// <summary>
    /// Gets a copy of the request's options, <c>SetSparkflyAccount</c>'s among them; without those in which this package keeps credentials.
    /// </summary>
    public HttpRequestOptions Options { get; }

    /// <summary>
    /// Gets the headers, the content's included, by their name in any case; of several values one text, with commas in between. The account's
    /// key (<c>X-Auth-Key</c>) is left out, since a developer's machine may have a real one.
    /// </summary>
    public IReadOnlyDictionary<string, string> Headers { get; }

    /// <summary>Gets the body as text, empty where there is none; decoded as its <c>Content-Type</c> says, else as UTF-8.</summary>
    public string Body { get; }

    /// <summary>Gets the body's bytes.</summary>
    public ReadOnlyMemory<byte> BodyBytes { get; }

    /// <summary>Gets the token that the request came with; <see langword="null"/> where it came with none.</summary>
    public string? Token => Headers.GetValueOrDefault(Wire.Token);

    /// <summary>
    /// Gets the identity of the account that the request came from: whose token it has, good or not, or whose token it asks for;
    /// <see langword="null"/> where neither tells.
    /// </summary>
    public string? Identity { get; }

    /// <summary>Its place among all requests of the fake.</summary>
    internal long Sequence { get; init; }

    /// <summary>Which of the fake's tokens it came with, counted from one.</summary>
    internal int? TokenNumber { get; init; }

    /// <summary>What it was answered with; null as long as it was not.</summary>
    internal string? Outcome
    {
        get => _outcome;
        set => _outcome = value;
    }

    internal NameValues Query => NameValues.Parse(Address.Query.TrimStart('?'));

    internal NameValues Form => NameValues.Parse(
        Headers.TryGetValue("Content-Type", out string? type) && type.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) ? Body : "");

    /// <summary>The method and the address as a client writes it, short, without secrets.</summary>
    internal string Line => $"{Method} {SafeAddress.Of(RelativePath, IsSparkfly ? Address.Query : "")}";

    /// <summary>Whether the request goes to Sparkfly. Queries of other hosts are not shown: they may hold secrets.</summary>
    private bool IsSparkfly { get; }

    /// <summary>The method and the address, for people; values of the query that are secrets by their name are left out.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => $"{Method} {SafeAddress.Of(Address.GetLeftPart(UriPartial.Path), Address.Query)}";

    private static string RelativeTo(Uri? baseAddress, Uri address) =>
        baseAddress is null ? address.GetLeftPart(UriPartial.Path)
        : address.AbsolutePath.StartsWith(baseAddress.AbsolutePath, StringComparison.Ordinal) ? address.AbsolutePath[baseAddress.AbsolutePath.Length..]
        : address.AbsolutePath;

    private static HttpRequestOptions OptionsOf(HttpRequestMessage message)
    {
        var copy = new HttpRequestOptions();
        foreach ((string key, object? value) in message.Options)
        {
            if (key != TokenExchangeKey)
            {
                ((IDictionary<string, object?>)copy)[key] = value;
            }
        }

        return copy;
    }

    private static Dictionary<string, string> HeadersOf(HttpRequestMessage message)
    {
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (KeyValuePair<string, HeaderStringValues> header in message.Headers.NonValidated)
        {
            if (!header.Key.Equals(Wire.Key, StringComparison.OrdinalIgnoreCase))
            {
                headers[header.Key] = header.Value.ToString();
            }
        }

        if (message.Content is { } content)
        {
            // Asked for first: only then is a length that can be computed among the headers, as it is on the wire.
            _ = content.Headers.ContentLength;
            foreach (KeyValuePair<string, HeaderStringValues> header in content.Headers.NonValidated)
            {
                headers[header.Key] = header.Value.ToString();
            }
        }
        else if (message.Method == HttpMethod.Post || message.Method == HttpMethod.Put || message.Method == HttpMethod.Patch)
        {
            // As the platform sends it for a method that has a body.
            headers["Content-Length"] = "0";
        }

        return headers;
    }

    private static Encoding EncodingOf(HttpContent? content)
    {
        try
        {
            return content?.Headers.ContentType?.CharSet is { } charSet ? Encoding.GetEncoding(charSet.Trim('"')) : Encoding.UTF8;
        }
        catch (ArgumentException)
        {
            return Encoding.UTF8;
        }
    }
}
