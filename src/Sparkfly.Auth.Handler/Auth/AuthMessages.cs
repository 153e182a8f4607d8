using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>What people are told of a failed token request: what was asked, what came back, what to do. No text holds a secret, and no part of it is long.</summary>
internal static class AuthMessages
{
    private const int LongestErrorText = 200;
    private const int LongestOrigin = 300;
    private const int LongestText = 499;

    public static string Asked(Uri endpoint) => $"POST {OneLine(endpoint.ToString(), LongestText)}";

    /// <summary>For a response that refuses the token.</summary>
    /// <param name="exchange">What was asked.</param>
    /// <param name="response">The response.</param>
    /// <param name="error">Sparkfly's own text; null where there is none.</param>
    public static string Refused(TokenExchange exchange, HttpResponseMessage response, string? error)
    {
        (Uri endpoint, AccountSettings settings) = (exchange.Endpoint, exchange.Settings);
        string advice = response.StatusCode switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden =>
                "The credentials were rejected, or the address is wrong, which can look the same: check Identity and Key, and that they belong to this environment, " +
                "since staging and production have their own; check BaseAddress, which ends in /v1.0 at Sparkfly, and AuthEndpoint.",
            HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed when settings.RootAuthEndpoint is { } root =>
                $"Neither {OneLine(settings.AuthEndpoint.ToString(), LongestText)} nor {OneLine(root.ToString(), LongestText)} is there: check BaseAddress, or set AuthEndpoint.",
            HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed =>
                $"There is no token endpoint: check BaseAddress, or set AuthEndpoint. Sparkfly has it under /v1.0, or at the root: {new Uri(endpoint, "/auth")}.",
            >= HttpStatusCode.MultipleChoices and < HttpStatusCode.BadRequest =>
                $"That is a redirect{To(exchange, response)}, and a token request follows none, since it carries the key: set BaseAddress or AuthEndpoint to where Sparkfly is.",
            var status when IsTransient(status) => "That is the service's trouble, and passes: calls succeed again when it does.",
            _ => "Check BaseAddress and AuthEndpoint, and ask Sparkfly's support if they are right.",
        };

        return Quoted(exchange, error) is { } text ? $"{Answered(exchange, response)}: {text}. {advice}" : $"{Answered(exchange, response)}. {advice}";
    }

    /// <summary>For a response that accepts the request and brings no good token.</summary>
    /// <param name="exchange">What was asked.</param>
    /// <param name="response">The response.</param>
    /// <param name="problem">What is wrong with it, from "without a token" on.</param>
    /// <param name="error">Sparkfly's own text; null where there is none.</param>
    public static string NoToken(TokenExchange exchange, HttpResponseMessage response, string problem, string? error) =>
        Quoted(exchange, error) is { } text ? $"{Answered(exchange, response)} {problem} Its error is {text}." : $"{Answered(exchange, response)} {problem}";

    /// <summary>For a token request without a response.</summary>
    public static AuthFailure NoResponse(TokenExchange exchange, Exception exception, bool isTimeout)
    {
        (Uri endpoint, AccountSettings settings) = (exchange.Endpoint, exchange.Settings);
        if (isTimeout || exception is OperationCanceledException)
        {
            return new AuthFailure(
                $"{Asked(endpoint)} was not answered within AuthTimeout ({settings.AuthTimeout:c}), or a shorter limit of the application's. " +
                "Is the address right, and reachable from here?")
            {
                IsTransient = true,
            };
        }

        // An exception of the application's own handlers may show the request; then it is not told, in message or cause.
        bool isSafe = exchange.MayShow(WithoutStack(exception));
        string what = !isSafe ? exception.GetType().Name
            : exception is HttpRequestException { HttpRequestError: not HttpRequestError.Unknown } http ? $"{http.HttpRequestError}: {OneLine(http.Message, LongestText)}"
            : $"{exception.GetType().Name}: {OneLine(exception.Message, LongestText)}";

        return new AuthFailure($"{Asked(endpoint)} got no answer ({what}). Is the address right, and reachable from here?")
        {
            // A wrongly built pipeline stays wrong.
            IsTransient = exception is not (InvalidOperationException or NotSupportedException or ArgumentException),
            Cause = isSafe ? exception : null,
        };
    }

    /// <summary>Adds what came back where else <c>/auth</c> was looked for.</summary>
    public static AuthFailure WithOther(AuthFailure told, Uri other, AuthFailure otherFailure) => told with
    {
        Message = otherFailure.Status is { } status
            ? $"{told.Message} /auth was looked for at {OneLine(other.ToString(), LongestText)} too, which answered {Shown(status)}."
            : $"{told.Message} /auth was looked for at {OneLine(other.ToString(), LongestText)} too, which did not answer.",
    };

    /// <summary>Adds that <c>/auth</c> was looked for at one address only, to a rejection that may mean another one.</summary>
    public static AuthFailure WithOnlyHome(AuthFailure told, Uri asked) => told with
    {
        Message = $"{told.Message} /auth was looked for at this address only; Sparkfly has it at {new Uri(asked, "/v1.0/auth")} or {new Uri(asked, "/auth")}.",
    };

    /// <summary>Whether a later attempt may succeed with nothing changed.</summary>
    public static bool IsTransient(HttpStatusCode status) =>
        status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or
            (>= HttpStatusCode.InternalServerError and not HttpStatusCode.NotImplemented and not HttpStatusCode.HttpVersionNotSupported);

    private static string Answered(TokenExchange exchange, HttpResponseMessage response) => $"{Asked(exchange.Endpoint)} was answered {Shown(response.StatusCode)}";

    private static string Shown(HttpStatusCode status) => $"{(int)status} ({status})";

    private static string? Quoted(TokenExchange exchange, string? error) =>
        string.IsNullOrWhiteSpace(error) || !exchange.MayShow(error) ? null : $"\"{OneLine(error, LongestErrorText)}\"";

    // The origin alone: a Location may carry anything in its path and query, and in its host too.
    private static string To(TokenExchange exchange, HttpResponseMessage response) =>
        Uri.TryCreate(exchange.Endpoint, response.Headers.Location, out Uri? target) && Origin.Of(target) is { Length: <= LongestOrigin } origin && exchange.MayShow(origin)
            ? $" to {origin}"
            : "";

    // A stack trace holds no values, but names of parameters, such as "key", which a short secret may equal.
    private static string WithoutStack(Exception exception) =>
        string.Join('\n', exception.ToString().Split('\n').Where(static line => !line.StartsWith("   at ", StringComparison.Ordinal)));

    // Half a surrogate pair, which no encoding can write, becomes a replacement character.
    private static string OneLine(string text, int longest)
    {
        string line = string.Concat(text.EnumerateRunes().Select(static r => LineText.IsBrokenBy(r) ? " " : r.ToString())).Trim();
        return line.Length <= longest ? line : string.Concat(line.AsSpan(0, char.IsHighSurrogate(line[longest - 1]) ? longest - 1 : longest), "…");
    }
}
