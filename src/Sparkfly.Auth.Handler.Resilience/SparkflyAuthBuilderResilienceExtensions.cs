using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Options;
using Sparkfly.Auth.Handler;
using Sparkfly.Auth.Handler.Resilience;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds rules for a <see cref="SparkflyAuthenticationException"/> to the application's resilience handlers.</summary>
public static class SparkflyAuthBuilderResilienceExtensions
{
    /// <summary>
    /// Makes every <c>AddStandardResilienceHandler</c> and <c>AddStandardHedgingHandler</c> of the application retry or hedge a
    /// <see cref="SparkflyAuthenticationException"/> only if it is transient, and never count one as a failure in a circuit breaker.
    /// </summary>
    /// <remarks>
    /// <para>
    /// Reaches named and typed clients and <c>ConfigureHttpClientDefaults</c>, whether they are registered before or after this call. One call is
    /// enough for all accounts; a repeated call changes nothing.
    /// </para>
    /// <para>
    /// A failure is retried if <see cref="SparkflyAuthenticationException.IsTransient"/> is <see langword="true"/>, the configured
    /// <c>ShouldHandle</c> handles it, and <see cref="SparkflyAuthenticationException.RetryAt"/> is not further away than the handler's total request
    /// timeout. The configured <c>ShouldHandle</c> alone decides on all other outcomes.
    /// </para>
    /// <para>
    /// The rules wrap <c>ShouldHandle</c> in a <c>PostConfigure</c> of <see cref="HttpStandardResilienceOptions"/> and
    /// <see cref="HttpStandardHedgingResilienceOptions"/>. A <c>PostConfigure</c> that the application registers after this call wins. A pipeline of the
    /// application's own (<c>AddResilienceHandler</c>) has other options and is not changed.
    /// </para>
    /// </remarks>
    /// <example>
    /// <code>
    /// builder.Services.ConfigureHttpClientDefaults(client =&gt; client.AddStandardResilienceHandler());
    /// builder.Services.AddSparkflyAuth().AddResilienceRules();
    /// builder.Services.AddHttpClient&lt;OffersClient&gt;().AddSparkflyAuthHandler();
    /// </code>
    /// </example>
    /// <param name="builder">The builder of any account.</param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="builder"/> is <see langword="null"/>.</exception>
    public static SparkflyAuthBuilder AddResilienceRules(this SparkflyAuthBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        builder.Services.AddOptions();
        builder.Services.TryAddEnumerable(
        [
            ServiceDescriptor.Singleton<IPostConfigureOptions<HttpStandardResilienceOptions>, ResilienceRules>(),
            ServiceDescriptor.Singleton<IPostConfigureOptions<HttpStandardHedgingResilienceOptions>, ResilienceRules>(),
        ]);
        return builder;
    }
}
