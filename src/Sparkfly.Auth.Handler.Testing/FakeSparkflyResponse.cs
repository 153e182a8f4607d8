using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>A response, or a fault in its place, that a <see cref="FakeSparkfly"/> answers with: a new message for each request. Immutable.</summary>
/// <example>
/// <code>
/// sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.ConnectionReset())
///     .Then(FakeSparkflyResponse.JsonOf(new { offers = new[] { new { id = 17 } } }).After(TimeSpan.FromSeconds(3)));
/// </code>
/// </example>
public sealed class FakeSparkflyResponse
{
    private static readonly JsonSerializerOptions s_web = new(JsonSerializerDefaults.Web);

    private readonly Func<HttpResponseMessage> _make;
    private readonly string _description;

    private FakeSparkflyResponse(Func<HttpResponseMessage> make, string description) => (_make, _description) = (make, description);

    private TimeSpan Delay { get; init; }

    private (string Name, string Value)[] Headers { get; init; } = [];

    /// <summary>Makes a response with a status and no body.</summary>
    /// <param name="status">The status.</param>
    /// <returns>The response.</returns>
    public static FakeSparkflyResponse Status(HttpStatusCode status) => new(() => new HttpResponseMessage(status), Number(status));

    /// <summary>Makes a response of JSON.</summary>
    /// <param name="json">The body.</param>
    /// <param name="status">The status.</param>
    /// <returns>The response.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="json"/> is <see langword="null"/>.</exception>
    public static FakeSparkflyResponse Json(string json, HttpStatusCode status = HttpStatusCode.OK)
    {
        ArgumentNullException.ThrowIfNull(json);
        return new FakeSparkflyResponse(() => new HttpResponseMessage(status) { Content = JsonContent(json) }, Number(status));
    }

    /// <summary>Makes a response of JSON from an object, with a serializer that was generated for its type: trim-safe, for Native AOT too.</summary>
    /// <typeparam name="T">The object's type.</typeparam>
    /// <param name="value">The object, which is serialized at once.</param>
    /// <param name="type">What is known of the type: a property of a <c>JsonSerializerContext</c>.</param>
    /// <param name="status">The status.</param>
    /// <returns>The response.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="type"/> is <see langword="null"/>.</exception>
    public static FakeSparkflyResponse JsonOf<T>(T value, JsonTypeInfo<T> type, HttpStatusCode status = HttpStatusCode.OK)
    {
        ArgumentNullException.ThrowIfNull(type);
        return Json(JsonSerializer.Serialize(value, type), status);
    }

    /// <summary>Makes a response of JSON from an object, an anonymous one too.</summary>
    /// <typeparam name="T">The object's type.</typeparam>
    /// <param name="value">The object, which is serialized at once. A <see cref="string"/> becomes a JSON string: for JSON that is written already there is <see cref="Json"/>.</param>
    /// <param name="status">The status.</param>
    /// <param name="options">How to serialize; <see langword="null"/> for the defaults of the web: <c>camelCase</c>.</param>
    /// <returns>The response.</returns>
    [RequiresUnreferencedCode("The object's type is found by reflection. Use the overload that takes a JsonTypeInfo.")]
    [RequiresDynamicCode("The object's serializer may be made at run time. Use the overload that takes a JsonTypeInfo.")]
    public static FakeSparkflyResponse JsonOf<T>(T value, HttpStatusCode status = HttpStatusCode.OK, JsonSerializerOptions? options = null) =>
        Json(JsonSerializer.Serialize(value, options ?? s_web), status);

    /// <summary>Makes a response whose body is a stream, without a length that is known beforehand.</summary>
    /// <param name="open">Opens the stream, a new one for each request. The response disposes of it.</param>
    /// <param name="mediaType">The <c>Content-Type</c>.</param>
    /// <param name="status">The status.</param>
    /// <returns>The response.</returns>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    /// <exception cref="FormatException"><paramref name="mediaType"/> is none.</exception>
    public static FakeSparkflyResponse Stream(
        Func<Stream> open, string mediaType = "application/octet-stream", HttpStatusCode status = HttpStatusCode.OK)
    {
        ArgumentNullException.ThrowIfNull(open);
        ArgumentNullException.ThrowIfNull(mediaType);
        var type = MediaTypeHeaderValue.Parse(mediaType);
        return new FakeSparkflyResponse(
            () => new HttpResponseMessage(status) { Content = new StreamContent(open()) { Headers = { ContentType = type } } },
            $"{Number(status)} stream");
    }

    /// <summary>Makes a connection that is reset after the request was sent: an <see cref="HttpRequestException"/>, as the platform throws it.</summary>
    /// <returns>The fault.</returns>
    public static FakeSparkflyResponse ConnectionReset() => new(
        static () => throw new HttpRequestException(
            HttpRequestError.Unknown,
            "An error occurred while sending the request (FakeSparkfly resets the connection).",
            new IOException(null, new SocketException((int)SocketError.ConnectionReset))),
        description: "connection reset");

    /// <summary>
    /// Makes a request that times out, without letting time pass: the <see cref="TaskCanceledException"/>, with a <see cref="TimeoutException"/> in
    /// it, that an <see cref="HttpClient"/> throws when its <see cref="HttpClient.Timeout"/> elapses.
    /// </summary>
    /// <remarks>For a response that does not come until the caller gives up, use <see cref="After"/> with <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>.</remarks>
    /// <returns>The fault.</returns>
    public static FakeSparkflyResponse Timeout() => new(
        static () => throw new TaskCanceledException("The request was canceled due to the configured HttpClient.Timeout elapsing (FakeSparkfly lets it elapse).", new TimeoutException()),
        description: "timeout");

    /// <summary>Makes a response whose body breaks off in the middle: reading on is an <see cref="HttpIOException"/>, as the platform throws it.</summary>
    /// <param name="body">The whole body, whose length is that of the header <c>Content-Length</c>.</param>
    /// <param name="status">The status.</param>
    /// <returns>The fault.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="body"/> is <see langword="null"/>.</exception>
    public static FakeSparkflyResponse HalfBody(string body, HttpStatusCode status = HttpStatusCode.OK)
    {
        ArgumentNullException.ThrowIfNull(body);
        byte[] bytes = Encoding.UTF8.GetBytes(body);
        return new FakeSparkflyResponse(
            () => new HttpResponseMessage(status)
            {
                Content = new StreamContent(new BrokenStream(bytes[..(bytes.Length / 2)]))
                {
                    Headers = { ContentLength = bytes.Length, ContentType = new MediaTypeHeaderValue("application/json") },
                },
            },
            $"{Number(status)} half");
    }

    /// <summary>Makes the same response, with a header.</summary>
    /// <param name="name">The header's name, that of a header of the content too.</param>
    /// <param name="value">Its value, which is not looked at.</param>
    /// <returns>The new response; this one stays as it is.</returns>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public FakeSparkflyResponse WithHeader(string name, string value)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(value);
        return new FakeSparkflyResponse(_make, _description) { Delay = Delay, Headers = [.. Headers, (name, value)] };
    }

    /// <summary>Makes the same response, or fault, at a later time.</summary>
    /// <param name="delay">
    /// How long after its arrival the request is answered, on the clock by which tokens expire: the fake's own, else the application's
    /// <see cref="TimeProvider"/>. <see cref="System.Threading.Timeout.InfiniteTimeSpan"/> for never.
    /// </param>
    /// <returns>The new response; this one stays as it is.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="delay"/> is negative, and not infinite.</exception>
    public FakeSparkflyResponse After(TimeSpan delay)
    {
        if (delay != System.Threading.Timeout.InfiniteTimeSpan)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(delay, TimeSpan.Zero);
        }

        return new FakeSparkflyResponse(_make, _description) { Delay = delay, Headers = Headers };
    }

    /// <summary>The status or the fault, for people.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => Delay == TimeSpan.Zero ? _description : $"{_description} after {Delay}";

    internal static StringContent JsonContent(string json) => new(json, Encoding.UTF8, "application/json");

    internal async Task<HttpResponseMessage?> MakeAsync(Arrival arrival, CancellationToken cancellationToken)
    {
        await arrival.DelayAsync(Delay, cancellationToken).ConfigureAwait(false);
        HttpResponseMessage response = _make();
        foreach ((string name, string value) in Headers)
        {
            if (!response.Headers.TryAddWithoutValidation(name, value))
            {
                response.Content.Headers.Remove(name);
                response.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return response;
    }

    private static string Number(HttpStatusCode status) => ((int)status).ToString(CultureInfo.InvariantCulture);
}
