using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler;

/// <summary>One token request, <c>POST /auth</c>, and what its answer means. Thread-safe; keeps no token.</summary>
/// <remarks>Wire facts: Sparkfly's AuthenticationApi description, where no other source is named.</remarks>
internal sealed class SparkflyAuthClient(IHttpClientFactory factory, SparkflyMetrics metrics, TimeProvider time, ILogger logger)
{
    // Enough for {"error": "…"}; an error page of a proxy is not worth reading.
    private const int LongestErrorBody = 16 * 1024;
    private const int LongestErrorText = 200;
    private const int LongestExceptionText = 500;

    private const string DefaultClientName = "Sparkfly.Auth.Handler";

    // Base addresses whose /auth is known to be at the root of the host.
    private readonly ConcurrentDictionary<Uri, Uri> _atRoot = new();

    /// <summary>The name of the <see cref="HttpClient"/> that an account's token requests are made with.</summary>
    /// <param name="registration">The account's name; of all accounts of a source, <see cref="AccountRegistrations.OfSource"/>.</param>
    public static string ClientName(string registration) => registration.Length == 0 ? DefaultClientName : $"{DefaultClientName}:{registration}";

    /// <summary>Whether a client of this name makes token requests. Such names are reserved.</summary>
    public static bool IsClientName(string? name) =>
        name is not null && (name == DefaultClientName || name.StartsWith($"{DefaultClientName}:", StringComparison.Ordinal));

    /// <summary>Asks for a token, once; where the endpoint is not there, once more at its other home. Throws nothing of its own.</summary>
    /// <param name="clientName">The client to ask with.</param>
    /// <param name="settings">What to ask with.</param>
    /// <param name="disposing">Ends the request with <see cref="AuthAnswer.Disposed"/>.</param>
    public async Task<AuthAnswer> RequestTokenAsync(string clientName, AccountSettings settings, CancellationToken disposing)
    {
        using var timeout = new CancellationTokenSource(settings.AuthTimeout, time);
        Uri endpoint = _atRoot.TryGetValue(settings.BaseAddress, out Uri? known) && known == settings.RootAuthEndpoint ? known : settings.AuthEndpoint;
        AuthAnswer answer = await AttemptAsync(clientName, endpoint, settings, timeout.Token, disposing).ConfigureAwait(false);
        if (answer.Failure?.Status != HttpStatusCode.NotFound || OtherHome(endpoint, settings) is not { } other)
        {
            return answer;
        }

        AuthAnswer notFound = answer;
        answer = await AttemptAsync(clientName, other, settings, timeout.Token, disposing).ConfigureAwait(false);
        Remember(other, answer, settings);
        return answer.Failure?.Status == HttpStatusCode.NotFound ? notFound : answer;
    }

    /// <summary>Newer descriptions of the API have <c>/auth</c> at the root of the host, older ones under <c>/v1.0</c>.</summary>
    /// <remarks>Source: Sparkfly's OpenAPI descriptions of 2025.</remarks>
    private static Uri? OtherHome(Uri asked, AccountSettings settings) =>
        asked == settings.RootAuthEndpoint ? settings.AuthEndpoint : settings.RootAuthEndpoint;

    /// <summary>Keeps to the home that gave a token, while the base address is unchanged.</summary>
    private void Remember(Uri home, AuthAnswer answer, AccountSettings settings)
    {
        if (answer.Token is null)
        {
            return;
        }

        if (home != settings.RootAuthEndpoint)
        {
            _atRoot.TryRemove(settings.BaseAddress, out _);
        }
        else if (_atRoot.TryAdd(settings.BaseAddress, home))
        {
            Log.AuthEndpointAtRoot(logger, settings.BaseAddress, home);
        }
    }

    /// <summary>One attempt, measured: whatever it comes to is an answer.</summary>
    private async Task<AuthAnswer> AttemptAsync(
        string clientName, Uri endpoint, AccountSettings settings, CancellationToken timeout, CancellationToken disposing)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(timeout, disposing);
        long start = time.GetTimestamp();
        AuthAnswer answer;
        try
        {
            answer = await PostAsync(factory.CreateClient(clientName), endpoint, settings, ended.Token).ConfigureAwait(false);
        }
        catch (Exception) when (disposing.IsCancellationRequested)
        {
            answer = AuthAnswer.Disposed;
        }
        catch (Exception exception)
        {
            // Everything that a pipeline of the application's own may throw is told to whoever waits for the token.
            answer = AuthAnswer.Of(Unanswered(endpoint, settings, exception, timeout.IsCancellationRequested));
        }

        if (answer.Outcome is { } outcome)
        {
            metrics.TokenRequestEnded(time.GetElapsedTime(start), outcome);
        }

        return answer;
    }

    private async Task<AuthAnswer> PostAsync(HttpClient client, Uri endpoint, AccountSettings settings, CancellationToken cancellationToken)
    {
        var exchange = new TokenExchange(endpoint, settings);
        using HttpRequestMessage request = NewRequest(client, exchange);
        DateTimeOffset sentAt = time.GetUtcNow();

        // WaitAsync, for a handler of the application's that does not heed its cancellation token.
        using HttpResponseMessage response = await client
            .SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken)
            .WaitAsync(cancellationToken)
            .ConfigureAwait(false);

        return response.IsSuccessStatusCode
            ? Accepted(exchange, response, sentAt)
            : AuthAnswer.Of(await RefusedAsync(endpoint, response, settings, cancellationToken).ConfigureAwait(false));
    }

    private static HttpRequestMessage NewRequest(HttpClient client, TokenExchange exchange)
    {
        // Without content: the platform sends Content-Length: 0 all the same, and can send it again where a pooled connection has gone stale.
        var request = new HttpRequestMessage(HttpMethod.Post, exchange.Endpoint)
        {
            Version = client.DefaultRequestVersion,
            VersionPolicy = client.DefaultVersionPolicy,
        };
        request.Options.Set(TokenExchange.OptionsKey, exchange);
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        if (exchange.Settings.Scope is { } scope)
        {
            request.Headers.TryAddWithoutValidation(HeaderText.Scope, scope);
        }

        if (exchange.Settings.ForwardedFor is { } forwardedFor)
        {
            request.Headers.TryAddWithoutValidation(HeaderText.ForwardedFor, forwardedFor);
        }

        return request;
    }

    /// <remarks>
    /// The answer's lifetime says nothing: its <c>Cache-Control</c> is the web framework's, and its <c>Date</c> an RFC 3339 timestamp, which no
    /// HTTP date parser takes. So the lifetime is ours, from the moment the request was sent.
    /// </remarks>
    private AuthAnswer Accepted(TokenExchange exchange, HttpResponseMessage response, DateTimeOffset sentAt)
    {
        (Uri endpoint, AccountSettings settings) = (exchange.Endpoint, exchange.Settings);

        // It is still on the response where a handler of the application's own has answered, in place of the network.
        IEnumerable<string> found = exchange.Token ??
            (response.Headers.NonValidated.TryGetValues(HeaderText.Token, out HeaderStringValues header) ? [.. header] : []);
        string[] values = [.. found.SelectMany(static v => v.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];

        string? problem = values switch
        {
            [] => "without a token: the header X-Auth-Token is missing or empty. Does the address lead to Sparkfly, and past no proxy that drops headers?",
            [_, _, ..] => $"with {values.Length} tokens in X-Auth-Token, where one is expected. Does a proxy on the way add headers?",
            [var value] when !HeaderText.IsToken(value) => "with an X-Auth-Token that cannot stand in a header. Does a proxy on the way change headers?",
            _ when sentAt + settings.UsableLife <= time.GetUtcNow() =>
                "too late: the token's usable life was over. Set a longer TokenLifetime, or a shorter ExpirationMargin.",
            _ => null,
        };

        return problem is null
            ? AuthAnswer.Of(new SparkflyToken(values[0], sentAt, sentAt + settings.UsableLife))
            : AuthAnswer.Of(new AuthFailure($"{Asked(endpoint)} was answered {Status(response)} {problem}") { Status = response.StatusCode });
    }

    private async Task<AuthFailure> RefusedAsync(
        Uri endpoint, HttpResponseMessage response, AccountSettings settings, CancellationToken cancellationToken)
    {
        HttpStatusCode status = response.StatusCode;
        string text = await ReadErrorTextAsync(response, settings, cancellationToken).ConfigureAwait(false);
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

        return new AuthFailure($"{Asked(endpoint)} was answered {Status(response)}{text}. {advice}")
        {
            Status = status,
            IsTransient = IsTransient(status),
            RetryAfter = RetryAfter(response),
        };
    }

    private static bool IsTransient(HttpStatusCode status) =>
        status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError;

    private TimeSpan RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - time.GetUtcNow(),
        _ => TimeSpan.Zero,
    };

    private static AuthFailure Unanswered(Uri endpoint, AccountSettings settings, Exception exception, bool isTimeout)
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
        bool isSafe = !SecretText.IsIn(WithoutStack(exception), settings);
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

    private static async Task<string> ReadErrorTextAsync(HttpResponseMessage response, AccountSettings settings, CancellationToken cancellationToken)
    {
        try
        {
            Stream body = await response.Content.ReadAsStreamAsync(cancellationToken).WaitAsync(cancellationToken).ConfigureAwait(false);
            byte[] buffer = new byte[LongestErrorBody];
            int length = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken)
                .AsTask()
                .WaitAsync(cancellationToken)
                .ConfigureAwait(false);

            using JsonDocument json = JsonDocument.Parse(buffer.AsMemory(0, length));
            string? text = json.RootElement.ValueKind == JsonValueKind.Object &&
                json.RootElement.TryGetProperty("error", out JsonElement error) && error.ValueKind == JsonValueKind.String
                ? error.GetString()
                : null;
            return string.IsNullOrWhiteSpace(text) || SecretText.IsIn(text, settings) ? "" : $": \"{OneLine(text, LongestErrorText)}\"";
        }
        catch (Exception)
        {
            // A body may be cut, late, no JSON, no text (half a surrogate pair): the status is told all the same.
            return "";
        }
    }

    private static string Asked(Uri endpoint) => $"POST {endpoint}";

    private static string Status(HttpResponseMessage response) => $"{(int)response.StatusCode} ({response.StatusCode})";

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
