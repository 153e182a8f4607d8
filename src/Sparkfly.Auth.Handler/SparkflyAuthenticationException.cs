using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>A request was not sent, because Sparkfly gave no token for it. The message says what was asked, what came back, and what to do.</summary>
/// <remarks>
/// An <see cref="HttpRequestException"/> with <see cref="HttpRequestError.UserAuthenticationError"/>, so code that handles a failed call handles this
/// one too. Its <see cref="HttpRequestException.StatusCode"/> is always <see langword="null"/>, because the API was not called; the status of the
/// token request is <see cref="AuthStatusCode"/>. No message holds a credential or a token.
/// </remarks>
/// <example>
/// <code>
/// catch (SparkflyAuthenticationException exception) when (exception.IsTransient)
/// {
///     return Results.StatusCode(503); // try again from exception.RetryAt on
/// }
/// </code>
/// </example>
public sealed class SparkflyAuthenticationException : HttpRequestException
{
    /// <summary>Initializes a new instance of the <see cref="SparkflyAuthenticationException"/> class.</summary>
    /// <param name="message">What was asked, what came back, and what to do.</param>
    /// <param name="innerException">The exception of the token request, if there was no response.</param>
    public SparkflyAuthenticationException(string? message, Exception? innerException = null)
        : base(HttpRequestError.UserAuthenticationError, message, innerException)
    {
    }

    /// <summary>Gets the status of the token request's response; <see langword="null"/> if there was no response.</summary>
    public HttpStatusCode? AuthStatusCode { get; init; }

    /// <summary>
    /// Gets a value indicating whether a later attempt may succeed with nothing changed: <see langword="true"/> for a timeout, a
    /// connection that failed, or a status of 408, 429 or 5xx other than 501 and 505; <see langword="false"/> for wrong credentials or a wrong address.
    /// </summary>
    public bool IsTransient { get; init; }

    /// <summary>Gets the time of the next token request. Calls fail at once until then. <see langword="null"/> if it is not known.</summary>
    public DateTimeOffset? RetryAt { get; init; }
}
