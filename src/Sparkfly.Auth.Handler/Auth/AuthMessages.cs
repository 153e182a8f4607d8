using System.Net;

namespace Sparkfly.Auth.Handler;

/// <summary>What people are told of a failed token request: what was asked, what came back, what to do. No text holds a secret.</summary>
internal static class AuthMessages
{
    private const int LongestErrorText = 200;
    private const int LongestExceptionText = 500;

    public static string Asked(Uri endpoint) => $"POST {endpoint}";

    public static string Status(HttpResponseMessage response) => $"{(int)response.StatusCode} ({response.StatusCode})";

    /// <summary>For a response that gives no token.</summary>
    /// <param name="endpoint">The address that was asked.</param>
    /// <param name="response">The response.</param>
    /// <param name="error">Sparkfly's own text; null where there is none.</param>
    /// <param name="settings">The account.</param>
    public static string Refused(Uri endpoint, HttpResponseMessage response, string? error, AccountSettings settings)
    {
        HttpStatusCode status = response.StatusCode;
        string text = string.IsNullOrWhiteSpace(error) || SecretText.IsIn(error, settings.Key) || SecretText.IsIn(error, settings.Identity)
            ? ""
            : $": \"{OneLine(error, LongestErrorText)}\"";
        string advice = status switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden =>
                "The credentials were rejected: check Identity and Key, and that they belong to this environment; staging and production have their own.",
            HttpStatusCode.NotFound when settings.RootAuthEndpoint is { } root =>
                $"Neither {settings.AuthEndpoint} nor {root} is there: check BaseAddress, or set AuthEndpoint.",
            HttpStatusCode.NotFound =>
                $"There is no token endpoint: check BaseAddress, or set AuthEndpoint. Sparkfly has it under /v1.0, or at the root: {new Uri(endpoint, "/auth")}.",
            >= HttpStatusCode.MultipleChoices and < HttpStatusCode.BadRequest =>
                $"That is a redirect{To(endpoint, response)}, and a token request follows none, since it carries the key: set BaseAddress or AuthEndpoint to where Sparkfly is.",
            _ when IsTransient(status) => "That is the service's trouble, and passes: calls succeed again when it does.",
            _ => "Check BaseAddress and AuthEndpoint, and ask Sparkfly's support if they are right.",
        };

        return $"{Asked(endpoint)} was answered {Status(response)}{text}. {advice}";
    }

    /// <summary>For a token request without a response.</summary>
    public static AuthFailure NoResponse(Uri endpoint, AccountSettings settings, Exception exception, bool isTimeout)
    {
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
        string shown = WithoutStack(exception);
        bool isSafe = !SecretText.IsIn(shown, settings.Key) && !SecretText.IsIn(shown, settings.Identity);
        string what = !isSafe ? exception.GetType().Name
            : exception is HttpRequestException { HttpRequestError: not HttpRequestError.Unknown } http ? $"{http.HttpRequestError}: {OneLine(http.Message, LongestExceptionText)}"
            : $"{exception.GetType().Name}: {OneLine(exception.Message, LongestExceptionText)}";

        return new AuthFailure($"{Asked(endpoint)} got no answer ({what}). Is the address right, and reachable from here?")
        {
            // A wrongly built pipeline stays wrong.
            IsTransient = exception is not (InvalidOperationException or NotSupportedException or ArgumentException),
            Cause = isSafe ? exception : null,
        };
    }

    /// <summary>Whether a later attempt may succeed with nothing changed.</summary>
    public static bool IsTransient(HttpStatusCode status) =>
        status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError;

    // The origin alone: a Location may carry anything in its path and query.
    private static string To(Uri endpoint, HttpResponseMessage response) =>
        Uri.TryCreate(endpoint, response.Headers.Location, out Uri? target) ? $" to {Origin.Of(target)}" : "";

    // A stack has no values in it, but the names of parameters: "key" would be taken for the secret of whoever chose that one.
    private static string WithoutStack(Exception exception) =>
        string.Join('\n', exception.ToString().Split('\n').Where(static line => !line.StartsWith("   at ", StringComparison.Ordinal)));

    private static string OneLine(string text, int longest)
    {
        string line = string.Concat(text.Select(static c => char.IsControl(c) || c is '\u2028' or '\u2029' ? ' ' : c)).Trim();
        return line.Length <= longest ? line : string.Concat(line.AsSpan(0, longest), "…");
    }
}
