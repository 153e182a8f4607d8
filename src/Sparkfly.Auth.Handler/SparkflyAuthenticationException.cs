using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>A request was not sent, because Sparkfly gave no token for it. The message says what was asked, what came back, what to do.</summary>
/// <remarks>
/// An <see cref="HttpRequestException"/>, so that code which handles a failed call handles this too, with
/// <see cref="HttpRequestError.UserAuthenticationError"/>. Its <see cref="HttpRequestException.StatusCode"/> is always
/// <see langword="null"/>: the API was not called, and the answer to the token request is not the API's; see <see cref="AuthStatusCode"/>.
/// No message holds a credential or a token.
/// </remarks>
public sealed class SparkflyAuthenticationException : HttpRequestException
{
    /// <summary>Initializes a new instance of the <see cref="SparkflyAuthenticationException"/> class.</summary>
    /// <param name="message">What was asked, what came back, what to do.</param>
    /// <param name="innerException">What the token request failed with, where it was not answered.</param>
    public SparkflyAuthenticationException(string? message, Exception? innerException = null)
        : base(HttpRequestError.UserAuthenticationError, message, innerException)
    {
    }

    /// <summary>Gets the status that the token request was answered with; <see langword="null"/> where it was not answered.</summary>
    public HttpStatusCode? AuthStatusCode { get; init; }

    /// <summary>
    /// Gets a value indicating whether asking again later may succeed with nothing changed: <see langword="true"/> for a timeout, a
    /// connection that failed, an answer of 408, 429 or 5xx; <see langword="false"/> for wrong credentials or a wrong address.
    /// </summary>
    public bool IsTransient { get; init; }

    /// <summary>Gets the moment from which the next token request is allowed; until then calls fail at once. Null where it is not known.</summary>
    public DateTimeOffset? RetryAt { get; init; }
}
