using System.Net.Http.Headers;
using System.Text.Json;

namespace Sparkfly.Auth.Handler;

/// <summary>One token request, <c>POST /auth</c>, and what its response means. Thread-safe; keeps no token.</summary>
/// <remarks>Wire facts: Sparkfly's AuthenticationApi description, where no other source is named.</remarks>
/// <param name="clientName">The name of the <see cref="HttpClient"/> to ask with.</param>
/// <param name="factory">Makes that client.</param>
/// <param name="endpoints">Where <c>/auth</c> was found.</param>
/// <param name="metrics">Measures each attempt.</param>
/// <param name="time">The clock.</param>
internal sealed class SparkflyAuthClient(
    string clientName, IHttpClientFactory factory, AuthEndpoints endpoints, SparkflyMetrics metrics, TimeProvider time) : ITokenSource
{
    private const string DefaultClientName = "Sparkfly.Auth.Handler";

    // Enough for {"error": "…"}; an error page of a proxy is not worth reading.
    private const int LongestErrorBody = 16 * 1024;

    /// <summary>The name of the <see cref="HttpClient"/> that makes an account's token requests.</summary>
    /// <param name="registration">The account's name; <c>*</c> for all accounts of a source.</param>
    public static string ClientName(string registration) => registration.Length == 0 ? DefaultClientName : $"{DefaultClientName}:{registration}";

    /// <summary>Whether a client of this name makes token requests. Such names are reserved.</summary>
    public static bool IsClientName(string? name) =>
        name is not null && (name == DefaultClientName || name.StartsWith($"{DefaultClientName}:", StringComparison.Ordinal));

    /// <summary>Asks for a token once; where the endpoint is not there, once more at its other home.</summary>
    /// <inheritdoc/>
    public async Task<TokenResponse> ObtainAsync(TokenRequest request, CancellationToken cancellationToken)
    {
        AccountSettings settings = request.Settings;
        using var timeout = new CancellationTokenSource(settings.AuthTimeout, time);
        Uri endpoint = endpoints.For(settings);
        TokenResponse response = await AskAsync(endpoint, request, timeout.Token, cancellationToken).ConfigureAwait(false);
        if (response.Failure is not { } failure)
        {
            return response;
        }

        if (timeout.IsCancellationRequested || endpoints.OtherAfter(failure, endpoint, settings) is not { } other)
        {
            return failure.IsRejection ? TokenResponse.Of(AuthMessages.WithOnlyHome(failure, endpoint)) : response;
        }

        TokenResponse second = await AskAsync(other, request, timeout.Token, cancellationToken).ConfigureAwait(false);
        return second.Failure is not { } otherFailure ? second
            : otherFailure.IsNotThere && failure.IsNotThere ? response
            : otherFailure.IsNotThere ? TokenResponse.Of(AuthMessages.WithOther(failure, other, otherFailure))
            : TokenResponse.Of(AuthMessages.WithOther(otherFailure, endpoint, failure));
    }

    /// <summary>Asks one address; once more at once where the connection breaks, as Sparkfly's do about once an hour.</summary>
    /// <remarks>Source: the issue tracker of another client. A second token does no harm: earlier ones stay valid.</remarks>
    private async Task<TokenResponse> AskAsync(Uri endpoint, TokenRequest request, CancellationToken timeout, CancellationToken disposing)
    {
        TokenResponse response = await AttemptAsync(endpoint, request, timeout, disposing).ConfigureAwait(false);
        if (response.Failure is { IsConnectionBroken: true })
        {
            response = await AttemptAsync(endpoint, request, timeout, disposing).ConfigureAwait(false);
        }

        if (response.Token is not null)
        {
            endpoints.Remember(endpoint, request.Settings);
        }

        return response;
    }

    /// <summary>One attempt, measured. An exception is a response too.</summary>
    private async Task<TokenResponse> AttemptAsync(Uri endpoint, TokenRequest request, CancellationToken timeout, CancellationToken disposing)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(timeout, disposing);
        var exchange = new TokenExchange(endpoint, request);
        long start = time.GetTimestamp();
        TokenResponse response;
        try
        {
            response = await PostAsync(exchange, ended.Token).ConfigureAwait(false);
        }
        catch (Exception) when (disposing.IsCancellationRequested)
        {
            response = TokenResponse.Disposed;
        }
        catch (Exception exception)
        {
            // Anything that the application's handlers may throw: callers that wait for the token are told.
            response = TokenResponse.Of(AuthMessages.NoResponse(exchange, exception, timeout.IsCancellationRequested) with
            {
                IsConnectionBroken = !timeout.IsCancellationRequested && BrokenConnection.IsCauseOf(exception),
            });
        }

        if (response.Outcome is { } outcome)
        {
            metrics.TokenRequestEnded(time.GetElapsedTime(start), outcome);
        }

        return response;
    }

    private async Task<TokenResponse> PostAsync(TokenExchange exchange, CancellationToken cancellationToken)
    {
        DateTimeOffset sentAt = time.GetUtcNow();

        // A handler of the application's may block its thread, or ignore its cancellation token.
        using HttpResponseMessage response = await TimeLimit.RunAsync(bound => SendAsync(exchange, bound), cancellationToken).ConfigureAwait(false);
        return response.IsSuccessStatusCode
            ? await AcceptedAsync(exchange, response, sentAt, cancellationToken).ConfigureAwait(false)
            : TokenResponse.Of(await RefusedAsync(exchange, response, cancellationToken).ConfigureAwait(false));
    }

    private async Task<HttpResponseMessage> SendAsync(TokenExchange exchange, CancellationToken cancellationToken)
    {
        HttpClient client = factory.CreateClient(clientName);
        using HttpRequestMessage request = NewRequest(client, exchange);
        return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
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
    private async Task<TokenResponse> AcceptedAsync(
        TokenExchange exchange, HttpResponseMessage response, DateTimeOffset sentAt, CancellationToken cancellationToken)
    {
        // It is still on the response where a handler of the application's own has answered, in place of the network.
        exchange.Token ??= response.Headers.NonValidated.TryGetValues(HeaderText.Token, out HeaderStringValues header) ? [.. header] : null;
        string[] values = [.. TokenExchange.Split(exchange.Token ?? [])];
        AccountSettings settings = exchange.Settings;
        string? problem = values switch
        {
            [] => "without a token: the header X-Auth-Token is missing or empty. Does the address lead to Sparkfly, and past no proxy that drops headers?",
            [_, _, ..] => $"with {values.Length} tokens in X-Auth-Token, where one is expected. Does a proxy on the way add headers?",
            [var value] when !HeaderText.IsToken(value) => "with an X-Auth-Token that is not a valid header value. Does a proxy on the way change headers?",
            _ when sentAt + settings.UsableLife <= time.GetUtcNow() =>
                "too late: the token's usable life was over. Set a longer TokenLifetime, or a shorter ExpirationMargin.",
            _ => null,
        };

        if (problem is null)
        {
            return TokenResponse.Of(new SparkflyToken(values[0], sentAt, sentAt + settings.UsableLife));
        }

        string? error = values.Length == 0 ? await ReadErrorAsync(response, cancellationToken).ConfigureAwait(false) : null;
        return TokenResponse.Of(new AuthFailure(AuthMessages.NoToken(exchange, response, problem, error)) { Status = response.StatusCode });
    }

    private async Task<AuthFailure> RefusedAsync(TokenExchange exchange, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        string? error = await ReadErrorAsync(response, cancellationToken).ConfigureAwait(false);
        return new AuthFailure(AuthMessages.Refused(exchange, response, error))
        {
            Status = response.StatusCode,
            IsTransient = AuthMessages.IsTransient(response.StatusCode),
            RetryAfter = RetryAfter(response),
        };
    }

    private TimeSpan RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - time.GetUtcNow(),
        _ => TimeSpan.Zero,
    };

    /// <summary>Sparkfly's own <c>error</c> text; null where the body has none.</summary>
    private static async Task<string?> ReadErrorAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            (byte[] buffer, int length) = await TimeLimit.RunAsync(bound => ReadAsync(response.Content, bound), cancellationToken).ConfigureAwait(false);
            using JsonDocument json = JsonDocument.Parse(buffer.AsMemory(0, length));
            return json.RootElement.ValueKind == JsonValueKind.Object &&
                json.RootElement.TryGetProperty("error", out JsonElement error) && error.ValueKind == JsonValueKind.String
                ? error.GetString()
                : null;
        }
        catch (Exception)
        {
            // A body may be cut, late, no JSON, no text (half a surrogate pair): the status is told all the same.
            return null;
        }
    }

    private static async Task<(byte[] Buffer, int Length)> ReadAsync(HttpContent content, CancellationToken cancellationToken)
    {
        Stream body = await content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        byte[] buffer = new byte[LongestErrorBody];
        return (buffer, await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false));
    }
}
