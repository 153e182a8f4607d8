using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>What a token request ended with: a token or a failure; neither where disposing has ended it.</summary>
internal sealed record TokenResponse(SparkflyToken? Token, AuthFailure? Failure)
{
    public static TokenResponse Disposed { get; } = new(null, null);

    public static TokenResponse Of(SparkflyToken token) => new(token, null);

    public static TokenResponse Of(AuthFailure failure) => new(null, failure);

    /// <summary>A token for which no <c>POST</c> was made.</summary>
    public static TokenResponse FromCache(SparkflyToken token, string cache) => new(token, null) { Cache = cache };

    /// <summary>The rejected token stays: the fleet was forced to renew it this long ago, which is within the interval.</summary>
    public static TokenResponse Unchanged(SparkflyToken token, TimeSpan sinceForced) => new(token, null) { SinceForced = sinceForced };

    /// <summary>The cache that the token comes from, as a log message names it; null where it comes from a <c>POST</c>.</summary>
    public string? Cache { get; private init; }

    /// <summary>How long ago the fleet was forced to renew; null unless the token is the one that was rejected.</summary>
    public TimeSpan? SinceForced { get; private init; }

    /// <summary>Whether the token is the one that was rejected.</summary>
    public bool IsUnchanged => SinceForced is not null;

    /// <summary>The outcome in metrics and traces; null where disposing has ended the request.</summary>
    public string? Outcome => Token is not null ? "success" : Failure is not { } failure ? null : failure.IsRejection ? "rejected" : "failed";
}

/// <summary>Why a token request gave no token, without a secret in it.</summary>
/// <param name="Message">What was asked, what came back, what to do, in whole sentences.</param>
internal sealed record AuthFailure(string Message)
{
    /// <summary>The status of the response; null without a response.</summary>
    public HttpStatusCode? Status { get; init; }

    /// <summary>Whether a later attempt may succeed with nothing changed.</summary>
    public bool IsTransient { get; init; }

    /// <summary>How long the service asked to wait; zero where it did not say.</summary>
    public TimeSpan RetryAfter { get; init; }

    /// <summary>The exception, where there was no response.</summary>
    public Exception? Cause { get; init; }

    /// <summary>Whether the connection was there, and broke before a response.</summary>
    public bool IsConnectionBroken { get; init; }

    /// <summary>Whether the credentials were rejected, so that a soon attempt is of no use.</summary>
    public bool IsRejection => Status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden;

    /// <summary>Whether the address does not take token requests.</summary>
    public bool IsNotThere => Status is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed;
}
