using Autofac.Extensions.DependencyInjection;
using Grace.DependencyInjection;
using Grace.DependencyInjection.Extensions;
using Lamar;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Hosting;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// In each container, with a distributed cache that cannot be constructed: the host starts, calls with a token, renews after a revocation, stops.
/// </summary>
public class ContainerTests
{
    [Test]
    public async Task Autofac([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = NewWorker(sparkfly, isHandlerInDefaults);
        builder.ConfigureContainer(new AutofacServiceProviderFactory());

        await sparkfly.RunAsync(builder.Build, static host =>
        {
            Assert.That(host.Services, Is.InstanceOf<AutofacServiceProvider>());
            return Task.CompletedTask;
        });
    }

    /// <summary>A container without keyed services, and without <see cref="IServiceProviderIsService"/>.</summary>
    [Test]
    public async Task Lamar_4([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = NewWorker(sparkfly, isHandlerInDefaults);
        builder.ConfigureContainer<ServiceRegistry>(new LamarServiceProviderFactory());

        await sparkfly.RunAsync(builder.Build, static host =>
        {
            Assert.That(host.Services, Is.InstanceOf<Lamar.IContainer>().And.Not.InstanceOf<IKeyedServiceProvider>());
            return Task.CompletedTask;
        });
    }

    /// <summary>Another container without keyed services.</summary>
    [Test]
    public async Task Grace_7([Values] bool isHandlerInDefaults)
    {
        await using ObservedSparkfly sparkfly = await ObservedSparkfly.StartAsync();
        HostApplicationBuilder builder = NewWorker(sparkfly, isHandlerInDefaults);
        builder.ConfigureContainer(new GraceFactory());

        await sparkfly.RunAsync(builder.Build, static host =>
        {
            Assert.That(host.Services, Is.Not.InstanceOf<IKeyedServiceProvider>());
            return Task.CompletedTask;
        });
    }

    private static HostApplicationBuilder NewWorker(ObservedSparkfly sparkfly, bool isHandlerInDefaults)
    {
        HostApplicationBuilder builder = Hosts.NewWorker();
        builder.Services.AddSingleton<IDistributedCache>(static _ => throw new InvalidOperationException("The cache's server is down."));
        builder.Services.AddSparkflyAuth(options => options.Use(sparkfly.Server)).UseDistributedCache().WarmUpOnStart();
        sparkfly.AddClient(builder.Services, isHandlerInDefaults);
        return builder;
    }

    private sealed class GraceFactory : IServiceProviderFactory<IServiceCollection>
    {
        public IServiceCollection CreateBuilder(IServiceCollection services) => services;

        public IServiceProvider CreateServiceProvider(IServiceCollection containerBuilder) => new DependencyInjectionContainer().Populate(containerBuilder);
    }
}
