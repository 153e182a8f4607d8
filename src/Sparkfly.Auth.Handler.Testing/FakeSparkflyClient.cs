using Microsoft.Extensions.DependencyInjection;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>Makes a client that owns a container of its own, with one account in it.</summary>
internal static class FakeSparkflyClient
{
    public static HttpClient Create(FakeSparkfly sparkfly, string account, Action<SparkflyAuthOptions>? configure, TimeProvider? time)
    {
        Uri? baseAddress = null;
        var services = new ServiceCollection();
        services.AddSparkflyAuth(account, options =>
        {
            configure?.Invoke(options);
            baseAddress = options.BaseAddress;
        });
        services.AddHttpClient("").AddSparkflyAuthHandler(account);
        services.AddFakeSparkfly(sparkfly, time);
        ServiceProvider provider = services.BuildServiceProvider();
        try
        {
            using HttpClient template = provider.GetRequiredService<IHttpClientFactory>().CreateClient("");
            HttpMessageHandler handler = provider.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("");
            return new HttpClient(new OwningHandler(handler, provider)) { BaseAddress = template.BaseAddress ?? baseAddress };
        }
        catch
        {
            provider.Dispose();
            throw;
        }
    }

    /// <summary>The outermost handler of a client that owns its container.</summary>
    private sealed class OwningHandler(HttpMessageHandler inner, ServiceProvider services) : DelegatingHandler(inner)
    {
        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                services.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
