using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>
/// Puts the fake in the place of the primary handler of every pipeline that a handler of Sparkfly.Auth.Handler is in: the clients of the API, and
/// those that token requests are made with. The first of all filters, and so the one that has the last word.
/// </summary>
internal sealed class FakeSparkflyFilter(FakeSparkfly sparkfly, IServiceProvider services) : IHttpMessageHandlerBuilderFilter
{
    private readonly TimeProvider _time = services.GetService<TimeProvider>() ?? TimeProvider.System;

    public Action<HttpMessageHandlerBuilder> Configure(Action<HttpMessageHandlerBuilder> next) => builder =>
    {
        next(builder);
        if (IsAuthClient(builder.Name) || builder.AdditionalHandlers.Any(IsOfSparkfly))
        {
            builder.PrimaryHandler = InPlaceOf(Innermost(builder.PrimaryHandler));
        }
        else if (Chain(builder.PrimaryHandler).Any(IsOfSparkfly))
        {
            // The application has built its pipeline by itself.
            Chain(builder.PrimaryHandler).Last().InnerHandler = InPlaceOf(Innermost(builder.PrimaryHandler));
        }
    };

    // The names of the clients that token requests are made with; their handler is put in place after all filters.
    private static bool IsAuthClient(string? name) =>
        name is not null && (name == "Sparkfly.Auth.Handler" || name.StartsWith("Sparkfly.Auth.Handler:", StringComparison.Ordinal));

    private static bool IsOfSparkfly(DelegatingHandler handler) => handler.GetType().Assembly == typeof(SparkflyAuthHandler).Assembly;

    /// <summary>The application may have turned redirects off.</summary>
    private FakeSparkflyHandler InPlaceOf(HttpMessageHandler? primary)
    {
        FakeSparkflyHandler fake = sparkfly.HandlerFor(_time);
        (fake.AllowAutoRedirect, fake.MaxAutomaticRedirections) = primary switch
        {
            SocketsHttpHandler sockets => (sockets.AllowAutoRedirect, sockets.MaxAutomaticRedirections),
            HttpClientHandler client => (client.AllowAutoRedirect, client.MaxAutomaticRedirections),
            _ => (fake.AllowAutoRedirect, fake.MaxAutomaticRedirections),
        };
        return fake;
    }

    private static HttpMessageHandler? Innermost(HttpMessageHandler primary) =>
        Chain(primary).LastOrDefault() is { } last ? last.InnerHandler : primary;

    private static IEnumerable<DelegatingHandler> Chain(HttpMessageHandler? primary)
    {
        for (var handler = primary as DelegatingHandler; handler is not null; handler = handler.InnerHandler as DelegatingHandler)
        {
            yield return handler;
        }
    }
}
