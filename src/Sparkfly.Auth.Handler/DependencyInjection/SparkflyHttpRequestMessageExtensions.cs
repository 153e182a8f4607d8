using Sparkfly.Auth.Handler;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Chooses the Sparkfly account of single requests.</summary>
public static class SparkflyHttpRequestMessageExtensions
{
    /// <summary>Sends this one request with the token of another account than its client's.</summary>
    /// <remarks>
    /// A name that is not registered, or an account whose base address is of another origin than the request's, is an
    /// <see cref="InvalidOperationException"/> when the request is sent.
    /// </remarks>
    /// <param name="request">The request, which a client with the Sparkfly handler is to send.</param>
    /// <param name="name">The account's name, as registered with <c>AddSparkflyAuth</c>; empty for the default account.</param>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    public static void SetSparkflyAccount(this HttpRequestMessage request, string name)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(name);
        request.Options.Set(SparkflyRequestOptions.Account, name);
    }
}
