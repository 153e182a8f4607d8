using Sparkfly.Auth.Handler;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Chooses the Sparkfly account of single requests.</summary>
public static class SparkflyHttpRequestMessageExtensions
{
    /// <summary>Sends this request with the token of another account than its client's.</summary>
    /// <remarks>
    /// If the name is not registered, or the account's base address is at another origin than the request, sending the request throws an
    /// <see cref="InvalidOperationException"/>. The name holds for the whole call, also if a handler copies the message without its options.
    /// </remarks>
    /// <example>
    /// <code>
    /// using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
    /// request.SetSparkflyAccount("tacos");
    /// using HttpResponseMessage response = await http.SendAsync(request, cancellationToken);
    /// </code>
    /// </example>
    /// <param name="request">The request, to be sent by a client with the Sparkfly handler.</param>
    /// <param name="name">The account's name, as registered with <c>AddSparkflyAuth</c>; empty for the default account.</param>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static void SetSparkflyAccount(this HttpRequestMessage request, string name)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(name);
        request.Options.Set(SparkflyRequestOptions.Account, name);
    }
}
