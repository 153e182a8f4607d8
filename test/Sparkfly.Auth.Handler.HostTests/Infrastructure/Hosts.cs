using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Hosts with an application's defaults, in Development, where the platform's container validates scopes and services.</summary>
internal static class Hosts
{
    /// <summary>A worker.</summary>
    public static HostApplicationBuilder NewWorker()
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { EnvironmentName = Environments.Development });
        builder.Logging.SweptOnly();
        return builder;
    }

    /// <summary>A web application on a free port.</summary>
    public static WebApplicationBuilder NewWeb()
    {
        WebApplicationBuilder builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Development });
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.SweptOnly();
        return builder;
    }

    /// <summary>Logs everything, to the sweep for secrets alone.</summary>
    public static ILoggingBuilder SweptOnly(this ILoggingBuilder logging) =>
        logging.ClearProviders().SetMinimumLevel(LogLevel.Trace).AddProvider(SecretSweep.LoggerProvider());
}
