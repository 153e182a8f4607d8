using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A host under test, for what happens when it starts; what it logs is swept for secrets.</summary>
internal static class HostedApp
{
    public static IHost Build(Action<IServiceCollection> register, IConfiguration? configuration = null)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(LogLevel.Trace).AddProvider(SecretSweep.LoggerProvider());
        if (configuration is not null)
        {
            builder.Configuration.AddConfiguration(configuration);
        }

        register(builder.Services);
        return builder.Build();
    }

    /// <summary>The exception that stops the host when it starts.</summary>
    public static async Task<TException> StartFailsWith<TException>(Action<IServiceCollection> register, IConfiguration? configuration = null)
        where TException : Exception
    {
        using IHost host = Build(register, configuration);
        return await Thrown.By<TException>(() => host.StartAsync());
    }
}
