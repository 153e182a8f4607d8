namespace Sparkfly.Auth.Handler;

/// <summary>
/// The outermost handler of a client's pipeline. Remembers the account that a request names for the whole call, so that a handler in between that
/// copies the message without its options does not send it with another account's token.
/// </summary>
internal sealed class RequestAccountHandler(SparkflyAuthHandler handler) : DelegatingHandler
{
    /// <summary>The name of the account that this one message is for; null where it names none.</summary>
    public static string? NameIn(HttpRequestMessage request)
    {
        if (RequestOptionsPeek.Of(request) is not { } options ||
            !options.TryGetValue(SparkflyRequestOptions.Account.Key, out object? value) ||
            value is null)
        {
            return null;
        }

        return value as string ?? throw new InvalidOperationException(
            $"The request option \"{SparkflyRequestOptions.Account.Key}\" is a {value.GetType().Name}; an account's name is a string.");
    }

    /// <summary>A request that names an account must be meant for it: elsewhere it would leave without a token.</summary>
    /// <exception cref="InvalidOperationException">The request goes to another origin than the account's.</exception>
    public static void CheckOrigin(HttpRequestMessage request, SparkflyAccount account)
    {
        AccountSettings settings = account.Settings;
        if (request.RequestUri is { IsAbsoluteUri: true } uri && !settings.Origin.Matches(uri))
        {
            throw new InvalidOperationException(
                $"The request to {Origin.Of(uri)} names the Sparkfly account '{account.ShownName}', whose BaseAddress is at {settings.Origin}: " +
                "it would leave without a token. Use a client of that account, or an absolute address under its BaseAddress.");
        }
    }

    /// <inheritdoc/>
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        NeedsNoNote(request, out string? name)
            ? base.SendAsync(request, cancellationToken)
            : SendNamedAsync(request, name, isAsync: true, cancellationToken);

    /// <inheritdoc/>
    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (NeedsNoNote(request, out string? name))
        {
            return base.Send(request, cancellationToken);
        }

        using NoSynchronizationContext none = NoSynchronizationContext.Enter();
        return SendNamedAsync(request, name, isAsync: false, cancellationToken).GetAwaiter().GetResult();
    }

    // A call of the same client from inside a call that names an account must not inherit it.
    private bool NeedsNoNote(HttpRequestMessage request, out string? name)
    {
        name = NameIn(request);
        return name is null && handler.NamedAccount is null;
    }

    // An async method, which gives the caller its own execution context back.
    private async Task<HttpResponseMessage> SendNamedAsync(HttpRequestMessage request, string? name, bool isAsync, CancellationToken cancellationToken)
    {
        SparkflyAccount? account = null;
        if (name is not null)
        {
            account = await handler.Accounts.GetAsync(name, cancellationToken).OrBlock(isAsync).ConfigureAwait(false);
            CheckOrigin(request, account);
        }

        handler.NamedAccount = account;
        return isAsync ? await base.SendAsync(request, cancellationToken).ConfigureAwait(false) : base.Send(request, cancellationToken);
    }
}
