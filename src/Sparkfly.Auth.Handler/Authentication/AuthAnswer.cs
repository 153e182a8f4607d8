using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>What a token request came to: a token or a failure; neither where it was ended by disposing.</summary>
internal sealed record AuthAnswer(SparkflyToken? Token, AuthFailure? Failure)
{
    public static AuthAnswer Disposed { get; } = new(null, null);

    public static AuthAnswer Of(SparkflyToken token) => new(token, null);

    public static AuthAnswer Of(AuthFailure failure) => new(null, failure);

    /// <summary>That the fleet was forced to renew its token only just now, so that the rejected one stays.</summary>
    public static AuthAnswer Unchanged(SparkflyToken token) => new(token, null) { IsUnchanged = true };

    /// <summary>Whether the token is the one that was rejected.</summary>
    public bool IsUnchanged { get; private init; }

    /// <summary>How metrics and traces call it; null where it was ended by disposing.</summary>
    public string? Outcome => Token is not null ? "success" : Failure is not { } failure ? null : failure.IsRejection ? "rejected" : "failed";
}

/// <summary>Why a token request gave no token, without a secret in it.</summary>
/// <param name="Message">What was asked, what came back, what to do: whole sentences.</param>
internal sealed record AuthFailure(string Message)
{
    /// <summary>What it was answered with; null where it was not answered.</summary>
    public HttpStatusCode? Status { get; init; }

    /// <summary>Whether asking again later may succeed with nothing changed.</summary>
    public bool IsTransient { get; init; }

    /// <summary>What the service asked to wait; zero where it did not say.</summary>
    public TimeSpan RetryAfter { get; init; }

    /// <summary>What it failed with, where it was not answered.</summary>
    public Exception? Cause { get; init; }

    /// <summary>Whether the credentials were refused: asking again soon is of no use.</summary>
    public bool IsRejection => Status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden;
}
