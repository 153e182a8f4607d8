using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Builds a client's pipeline with our handler at its place: directly above the handler that talks to the network, below everything that the
/// application, its filters and the factory have added.
/// </summary>
/// <remarks>
/// A decorator of the builder, since its <see cref="Build"/> runs after every <see cref="IHttpMessageHandlerBuilderFilter"/>. A filter of our own would
/// not be last where another one is inserted before it later.
/// </remarks>
internal sealed class PipelineBuilder(HttpMessageHandlerBuilder inner) : HttpMessageHandlerBuilder
{
    /// <inheritdoc/>
    [DisallowNull]
    public override string? Name
    {
        get => inner.Name;
        set => inner.Name = value;
    }

    /// <inheritdoc/>
    public override HttpMessageHandler PrimaryHandler
    {
        get => inner.PrimaryHandler;
        set => inner.PrimaryHandler = value;
    }

    /// <inheritdoc/>
    public override IList<DelegatingHandler> AdditionalHandlers => inner.AdditionalHandlers;

    /// <inheritdoc/>
    public override IServiceProvider Services => inner.Services;

    /// <summary>
    /// Puts this builder round the one that is registered; again where the application has registered its own since. Looks at new services only while
    /// ours is where it was, since there may be many accounts.
    /// </summary>
    public static void Decorate(IServiceCollection services, AccountRegistrations registrations)
    {
        (int ours, int start) = registrations.Looked;
        start = start <= services.Count && ours < start && IsOurs(services[ours]) ? start : 0;
        for (int i = start; i < services.Count; i++)
        {
            ServiceDescriptor registered = services[i];
            if (registered.ServiceType == typeof(HttpMessageHandlerBuilder) && !registered.IsKeyedService)
            {
                ours = i;
                services[i] = IsOurs(registered)
                    ? registered
                    : ServiceDescriptor.Describe(typeof(HttpMessageHandlerBuilder), new Decorator(registered).Create, registered.Lifetime);
            }
        }

        registrations.Looked = (ours, services.Count);
    }

    private static bool IsOurs(ServiceDescriptor registered) => !registered.IsKeyedService && registered.ImplementationFactory?.Target is Decorator;

    /// <inheritdoc/>
    public override HttpMessageHandler Build()
    {
        SparkflyAuthHandler? handler = TakeOut();
        if (SparkflyAuthClient.IsClientName(Name))
        {
            Place(new TokenRequestHandler(Services.GetRequiredService<PrimaryHandlers>(), Name!));
        }
        else if (Chain(PrimaryHandler).OfType<SparkflyAuthHandler>().FirstOrDefault() is { } own)
        {
            // The application has built its primary handler around one of ours.
            own.Client ??= Name;
            AdditionalHandlers.Insert(0, new RequestAccountHandler(own));
        }
        else if (handler is not null)
        {
            handler.Client = Name;
            Place(handler);
            AdditionalHandlers.Insert(0, new RequestAccountHandler(handler));
        }
        else if (Chain(PrimaryHandler).OfType<SharedChainHandler>().FirstOrDefault() is { } place)
        {
            // The primary handler is shared with a Sparkfly client. A call inside a call of that client must not use its handler.
            AdditionalHandlers.Insert(0, place.EntranceFor(null));
        }

        return inner.Build();
    }

    /// <summary>Of several the last is the client's own, after any from defaults. Two would each send a request twice for one 401.</summary>
    private SparkflyAuthHandler? TakeOut()
    {
        SparkflyAuthHandler? last = null;
        for (int i = AdditionalHandlers.Count - 1; i >= 0; i--)
        {
            if (AdditionalHandlers[i] is SparkflyAuthHandler handler)
            {
                last ??= handler;
                AdditionalHandlers.RemoveAt(i);
            }
        }

        return last;
    }

    private void Place<T>(T innermost)
        where T : DelegatingHandler, IInnermostHandler
    {
        if (innermost.InnerHandler is not null)
        {
            // As the platform says of other handlers.
            throw new InvalidOperationException(
                $"The {typeof(T).Name} of the client '{Name}' is in another pipeline already. Each pipeline needs its own: resolve it from the services each time.");
        }

        if (PrimaryHandler is DelegatingHandler { InnerHandler: not null } chain && SharedChainHandler.In(chain) is { } place)
        {
            innermost.InnerHandler = place.InnerHandler!;
            AdditionalHandlers.Insert(0, place.EntranceFor(innermost));
        }
        else
        {
            innermost.InnerHandler = PrimaryHandler;
            PrimaryHandler = innermost;
        }
    }

    private static IEnumerable<HttpMessageHandler> Chain(HttpMessageHandler? handler)
    {
        for (; handler is not null; handler = (handler as DelegatingHandler)?.InnerHandler)
        {
            yield return handler;
        }
    }

    private sealed class Decorator(ServiceDescriptor registered)
    {
        public PipelineBuilder Create(IServiceProvider services) => new(CreateRegistered(services));

        private HttpMessageHandlerBuilder CreateRegistered(IServiceProvider services) => (HttpMessageHandlerBuilder)(
            registered.ImplementationInstance ??
            registered.ImplementationFactory?.Invoke(services) ??
            ActivatorUtilities.CreateInstance(services, registered.ImplementationType!));
    }
}
