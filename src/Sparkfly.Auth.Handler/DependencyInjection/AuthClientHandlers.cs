using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Keeps the handlers that an application adds to all of its clients out of the pipeline of token requests: a retry there would make several
/// <c>POST</c>s of one attempt. Handlers of <see cref="SparkflyAuthBuilder.ConfigureAuthClient"/> stay, and so does everything else that is set for all
/// clients, such as a primary handler with a proxy.
/// </summary>
/// <remarks>A validator, because validators run after every configuration, whenever that was registered.</remarks>
internal sealed class AuthClientHandlers(
    IEnumerable<IConfigureOptions<HttpClientFactoryOptions>> configurations,
    IEnumerable<IPostConfigureOptions<HttpClientFactoryOptions>> postConfigurations) : IValidateOptions<HttpClientFactoryOptions>
{
    // No client has this name, so what is configured for it is configured for all clients.
    private const string NoClient = "Sparkfly.Auth.Handler.NoClient";

    private readonly Lazy<Configuration[]> _configurations = new(() =>
    [
        .. configurations.OfType<IConfigureNamedOptions<HttpClientFactoryOptions>>().Select(static c => new Configuration(c.Configure)),
        .. postConfigurations.Select(static c => new Configuration(c.PostConfigure)),
    ]);

    public ValidateOptionsResult Validate(string? name, HttpClientFactoryOptions options)
    {
        if (SparkflyAuthClient.IsClientName(name))
        {
            // Configured once more, on a copy, to see which action comes from which configuration.
            IList<Action<HttpMessageHandlerBuilder>> actions = options.HttpMessageHandlerBuilderActions;
            var copy = new HttpClientFactoryOptions();
            Array.ForEach(_configurations.Value, configuration => configuration.Apply(name!, copy));
            actions.Clear();
            foreach (Action<HttpMessageHandlerBuilder> action in copy.HttpMessageHandlerBuilderActions)
            {
                actions.Add(action);
            }
        }

        return ValidateOptionsResult.Skip;
    }

    private sealed class Configuration
    {
        private readonly Action<string, HttpClientFactoryOptions> _configure;
        private readonly bool _isForAll;

        public Configuration(Action<string, HttpClientFactoryOptions> configure)
        {
            _configure = configure;
            var options = new HttpClientFactoryOptions();
            configure(NoClient, options);
            _isForAll = options.HttpMessageHandlerBuilderActions.Count > 0;
        }

        public void Apply(string name, HttpClientFactoryOptions options)
        {
            IList<Action<HttpMessageHandlerBuilder>> actions = options.HttpMessageHandlerBuilderActions;
            object[]? earlier = _isForAll ? [.. actions] : null;
            _configure(name, options);
            for (int i = 0; earlier is not null && i < actions.Count; i++)
            {
                if (!earlier.Contains(actions[i], ReferenceEqualityComparer.Instance))
                {
                    actions[i] = WithoutHandlers(actions[i]);
                }
            }
        }

        private static Action<HttpMessageHandlerBuilder> WithoutHandlers(Action<HttpMessageHandlerBuilder> action) => builder =>
        {
            DelegatingHandler[] handlers = [.. builder.AdditionalHandlers];
            action(builder);
            builder.AdditionalHandlers.Clear();
            Array.ForEach(handlers, builder.AdditionalHandlers.Add);
        };
    }
}
