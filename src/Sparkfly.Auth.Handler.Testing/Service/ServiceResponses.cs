using System.Globalization;
using System.Net;
using System.Text.Json;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>What the service itself answers, as the real one writes it.</summary>
internal static class ServiceResponses
{
    public static HttpResponseMessage Token(string token) => new(HttpStatusCode.NoContent) { Headers = { { Wire.Token, token } } };

    public static HttpResponseMessage Error(HttpStatusCode status, string error) =>
        new(status) { Content = FakeSparkflyResponse.JsonContent($$"""{"error": "{{JsonEncodedText.Encode(error)}}"}""") };

    /// <summary>Adds what misleads at the real one: a date that no HTTP date parser takes, the framework's cache lifetime, a session cookie.</summary>
    public static void AddTraps(HttpResponseMessage response, TimeProvider time)
    {
        Add("Date", time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        Add("Cache-Control", "max-age=0, private, must-revalidate");
        Add("X-Ua-Compatible", "IE=Edge,chrome=1");
        Add("Set-Cookie", $"_session_id={Guid.NewGuid():N}; path=/; HttpOnly");

        void Add(string name, string value)
        {
            // What the test has set stays.
            if (!response.Headers.NonValidated.Contains(name))
            {
                response.Headers.TryAddWithoutValidation(name, value);
            }
        }
    }
}
