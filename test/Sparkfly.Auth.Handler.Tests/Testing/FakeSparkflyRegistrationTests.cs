using System.Collections.Concurrent;
using System.Diagnostics.Tracing;
using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using Sparkfly.Auth.Handler.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The fake under an application: whatever it registers, in whichever order, nothing of Sparkfly leaves.</summary>
public class FakeSparkflyRegistrationTests
{
    private readonly FakeSparkfly _sparkfly = new() { UnansweredStatus = HttpStatusCode.NotFound };

    /// <summary>Whether the fake is added before the application's own registrations.</summary>
    public enum Order
    {
        Before,
        After,
    }

    [Test]
    public async Task It_is_under_every_Sparkfly_client_and_the_token_requests_of_every_account(
        [Values] Order order, [Values] Sending sending, [Values] bool hasOwnPrimaryHandlers)
    {
        await using TestApp app = App(order, services =>
        {
            AddAccount(services, "");
            AddAccount(services, "tacos");
            AddClient(services.AddHttpClient("api").AddSparkflyAuthHandler());
            AddClient(services.AddHttpClient("tacos").AddSparkflyAuthHandler("tacos"));
            AddClient(services.AddHttpClient<Typed>().AddSparkflyAuthHandler());
            AddClient(services.AddHttpClient("plain", static http => http.BaseAddress = SparkflyEnvironments.Staging)
                .AddHttpMessageHandler<SparkflyAuthHandler>());
            AddClient(services.AddHttpClient("keyed").AddAsKeyed().AddSparkflyAuthHandler());
        });

        HttpClient[] clients = [app.Client("api"), app.Client("tacos"), app.Services.GetRequiredService<Typed>().Http, app.Client("plain"),
            app.Services.CreateScope().ServiceProvider.GetRequiredKeyedService<HttpClient>("keyed")];
        foreach (HttpClient client in clients)
        {
            using HttpResponseMessage response = await client.GetAs(sending, "offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        }

        Assert.That(_sparkfly.TokenRequests.Select(static r => r.Identity), Is.EqualTo((string[])["fake-identity", "fake-identity-tacos"]));
        Assert.That(_sparkfly.Requests.Select(static r => r.Identity), Is.EqualTo((string[])[
            "fake-identity", "fake-identity-tacos", "fake-identity", "fake-identity", "fake-identity"]));

        void AddAccount(IServiceCollection services, string name)
        {
            SparkflyAuthBuilder account = services.AddSparkflyAuth(name, static _ => { });
            if (hasOwnPrimaryHandlers)
            {
                account.ConfigureAuthClient(static auth => auth.ConfigurePrimaryHttpMessageHandler(Unwanted));
            }
        }

        void AddClient(IHttpClientBuilder client)
        {
            if (hasOwnPrimaryHandlers)
            {
                client.ConfigurePrimaryHttpMessageHandler(Unwanted);
            }
        }
    }

    [Test]
    public async Task It_is_under_clients_whose_primary_handler_is_chosen_in_defaults_in_options_or_by_a_filter([Values] Order order)
    {
        await using TestApp app = App(order, static services =>
        {
            services.AddSingleton<IHttpMessageHandlerBuilderFilter, UnwantedFilter>();
            services.ConfigureHttpClientDefaults(static client => client.AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(Unwanted));
            services.AddSparkflyAuth(static _ => { });
            services.AddHttpClient("api").ConfigureHttpClient(static http => http.BaseAddress = SparkflyEnvironments.Staging);
            services.PostConfigureAll<HttpClientFactoryOptions>(static options =>
                options.HttpMessageHandlerBuilderActions.Add(static builder => builder.PrimaryHandler = Unwanted()));
        });

        using HttpResponseMessage response = await app.Client().GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That((_sparkfly.TokenRequests.Count, _sparkfly.Requests.Count), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task It_is_under_a_pipeline_that_the_application_has_built_inside_its_primary_handler([Values] Order order)
    {
        await using TestApp app = App(order, static services =>
        {
            services.AddSparkflyAuth(static _ => { });
            services.AddHttpClient("api", static http => http.BaseAddress = SparkflyEnvironments.Staging).ConfigurePrimaryHttpMessageHandler(static provider =>
            {
                SparkflyAuthHandler handler = provider.GetRequiredService<SparkflyAuthHandler>();
                handler.InnerHandler = new Probe { InnerHandler = Unwanted() };
                return new Probe { InnerHandler = handler };
            });
        });

        using HttpResponseMessage response = await app.Client().GetAsync("offers");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That((_sparkfly.TokenRequests.Count, _sparkfly.Requests.Count), Is.EqualTo((1, 1)));
    }

    [Test]
    public async Task Other_clients_stay_as_they_are([Values] Order order)
    {
        var own = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Accepted));
        await using TestApp app = App(order, services =>
        {
            services.AddSparkflyAuth(static _ => { });
            services.AddHttpClient("other").ConfigurePrimaryHttpMessageHandler(() => own);
        });

        using HttpResponseMessage response = await app.Client("other").GetAsync("https://other.example/");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Accepted));
        Assert.That(_sparkfly.Requests, Is.Empty);
    }

    [Test]
    public async Task The_application_s_other_handlers_stay_in_place()
    {
        var probe = new Probe();
        await using TestApp app = App(Order.After, services =>
        {
            services.AddSparkflyAuth(static _ => { }).ConfigureAuthClient(static auth => auth.AddHttpMessageHandler(static () => new EagerRetryHandler(3)));
            services.AddHttpClient("api").AddSparkflyAuthHandler().AddHttpMessageHandler(() => probe);
        });
        _sparkfly.FailTokenRequests(HttpStatusCode.ServiceUnavailable, times: 2);

        (await app.Client().GetAsync("offers")).Dispose();

        Assert.That(probe.Bodies, Has.Count.EqualTo(1));
        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(3));
    }

    [Test]
    public async Task Redirects_are_followed_as_the_application_has_them_followed([Values] bool isFollowed, [Values] Primary primary)
    {
        _sparkfly.Answer(HttpMethod.Get, "old", static _ => new HttpResponseMessage(HttpStatusCode.Found) { Headers = { Location = new Uri("/v1.0/new", UriKind.Relative) } });
        _sparkfly.Answer(HttpMethod.Get, "new", HttpStatusCode.OK);
        await using TestApp app = App(Order.After, services =>
        {
            services.AddSparkflyAuth(static _ => { });
            IHttpClientBuilder client = services.AddHttpClient("api").AddSparkflyAuthHandler().Use(primary);
            if (!isFollowed)
            {
                client.ConfigurePrimaryHttpMessageHandler(static (handler, _) =>
                {
                    if (handler is SocketsHttpHandler sockets)
                    {
                        sockets.AllowAutoRedirect = false;
                    }
                    else
                    {
                        ((HttpClientHandler)handler).AllowAutoRedirect = false;
                    }
                });
            }
        });

        using HttpResponseMessage response = await app.Client().GetAsync("old");

        Assert.That(response.StatusCode, Is.EqualTo(isFollowed ? HttpStatusCode.OK : HttpStatusCode.Found));
    }

    [Test]
    public async Task An_application_without_credentials_starts([Values] Order order)
    {
        using IHost host = HostedApp.Build(services => Add(order, services, static services =>
        {
            services.AddSparkflyAuth();
            services.AddSparkflyAuth("Köln & Co.", static _ => { });
            services.AddHttpClient("api").AddSparkflyAuthHandler("Köln & Co.");
        }));

        await host.StartAsync();

        (await host.Services.GetRequiredService<IHttpClientFactory>().CreateClient("api").GetAsync("offers")).Dispose();
        Assert.That(_sparkfly.Requests.Single().Identity, Is.EqualTo("fake-identity-K%C3%B6ln%20%26%20Co."));
    }

    [Test]
    public void Only_the_credentials_that_are_missing_are_filled_in([Values] Order order)
    {
        IConfigurationRoot configuration = Configured.From(("Sparkfly:Identity", "17"), ("Sparkfly:Key", " "), ("Sparkfly:Scope", "offers"));
        using IHost host = HostedApp.Build(services => Add(order, services, static services => services.AddSparkflyAuth()), configuration);

        SparkflyAuthOptions options = host.Services.GetRequiredService<IOptionsMonitor<SparkflyAuthOptions>>().CurrentValue;

        Assert.That((options.Identity, options.Key, options.Scope), Is.EqualTo(("17", "fake-key", "offers")));
    }

    [Test]
    public async Task Other_settings_must_still_be_right()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(services => Add(
            Order.After, services, static services => services.AddSparkflyAuth(static o => o.TokenLifetime = TimeSpan.Zero)));

        Assert.That(exception.Message, Does.Contain("TokenLifetime"));
    }

    [Test]
    public async Task It_goes_by_the_container_s_clock()
    {
        await using TestApp app = App(Order.Before, static services =>
        {
            services.AddSparkflyAuth(static o => o.ExpirationMargin = TimeSpan.Zero);
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });
        using HttpClient client = app.Client();
        (await client.GetAsync("offers")).Dispose();

        // A day later the token has ended for both: nobody has sent the old one.
        app.Time.Advance(TimeSpan.FromDays(1));
        (await client.GetAsync("offers")).Dispose();
        Assert.That((_sparkfly.Requests.Count, _sparkfly.TokenRequests.Count), Is.EqualTo((2, 2)));

        // The service's clock alone: a token that it no longer knows.
        using var http = new HttpClient(_sparkfly.CreateHandler());
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://api-staging.sparkfly.com/v1.0/offers");
        request.Headers.Add("X-Auth-Token", _sparkfly.Requests[1].Token);
        using HttpResponseMessage response = await http.SendAsync(request);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), "on the system's clock, which is past that day");
    }

    [Test]
    public async Task Its_own_clock_goes_before_the_container_s()
    {
        var time = new FakeTimeProvider();
        var sparkfly = new FakeSparkfly(time) { UnansweredStatus = HttpStatusCode.NotFound };
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(static _ => { });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
            services.AddFakeSparkfly(sparkfly);
        });
        (await app.Client().GetAsync("offers")).Dispose();

        time.Advance(TimeSpan.FromDays(1));

        (await app.Client().GetAsync("offers")).Dispose();
        Assert.That(sparkfly.TokenRequests, Has.Count.EqualTo(2), "a 401 has forced the second");
    }

    [Test]
    public async Task Addresses_are_those_of_the_account_wherever_it_is()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        await using TestApp app = App(Order.After, static services =>
        {
            services.AddSparkflyAuth(static o =>
            {
                o.BaseAddress = new Uri("https://gateway.example/partners/sparkfly");
                o.AuthEndpoint = new Uri("https://login.example/tokens");
            });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        });

        using HttpResponseMessage response = await app.Client().GetAsync("offers");
        using HttpResponseMessage tokenless = await app.Client().SendAsync(new HttpRequestMessage(HttpMethod.Post, "https://login.example/tokens"));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(tokenless.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
            Assert.That(_sparkfly.Requests.Single().RelativePath, Is.EqualTo("offers"));
            Assert.That(_sparkfly.TokenRequests.Select(static r => r.Address), Is.All.EqualTo(new Uri("https://login.example/tokens")));
        }
    }

    [Test]
    public async Task Several_applications_share_one()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        await using TestApp first = App(Order.After, Register);
        await using TestApp second = App(Order.After, Register);

        (await first.Client().GetAsync("offers")).Dispose();
        (await second.Client().GetAsync("offers")).Dispose();

        Assert.That((_sparkfly.Requests.Count, _sparkfly.TokenRequests.Count), Is.EqualTo((2, 2)));

        static void Register(IServiceCollection services)
        {
            services.AddSparkflyAuth(static _ => { });
            services.AddHttpClient("api").AddSparkflyAuthHandler();
        }
    }

    [Test]
    public void Added_again_it_is_the_same_or_the_one_that_is_given()
    {
        var services = new ServiceCollection();
        FakeSparkfly first = services.AddFakeSparkfly();
        int count = services.Count;

        FakeSparkfly again = services.AddFakeSparkfly();
        FakeSparkfly given = services.AddFakeSparkfly(_sparkfly);

        using ServiceProvider provider = services.BuildServiceProvider();
        Assert.That((again, given, services.Count), Is.EqualTo((first, _sparkfly, count)));
        Assert.That(provider.GetServices<FakeSparkfly>(), Is.EqualTo((FakeSparkfly[])[_sparkfly]));
    }

    [Test]
    public async Task Without_it_the_network_is_asked_and_with_it_never([Values] bool isFake, [Values] Sending sending)
    {
        // Addresses that nobody else in this process asks for, and where nobody listens.
        string[] loopbacks = [NewLoopback(), NewLoopback()];
        string host = $"{Guid.NewGuid():N}.invalid";
        using var network = new NetworkListener();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth("", o => (o.BaseAddress, o.Identity, o.Key) = (new Uri($"http://{loopbacks[0]}:9/v1.0"), "17", "key"));
            services.AddSparkflyAuth("tacos", o => (o.BaseAddress, o.AuthEndpoint, o.Identity, o.Key) =
                (new Uri($"https://{host}/v1.0"), new Uri($"http://{loopbacks[1]}:9/auth"), "18", "key"));
            services.AddHttpClient("api").AddSparkflyAuthHandler();
            services.AddHttpClient("tacos").AddSparkflyAuthHandler("tacos");
            services.AddHttpClient("tokenless", o => o.BaseAddress = new Uri($"https://{host}/")).AddSparkflyAuthHandler();
            if (isFake)
            {
                services.AddFakeSparkfly(_sparkfly);
            }
        });

        foreach (string name in (string[])["api", "tacos", "tokenless"])
        {
            try
            {
                using HttpResponseMessage response = await app.Client(name).GetAs(sending, "offers");
            }
            catch (HttpRequestException) when (!isFake)
            {
                // Nobody is there.
            }
        }

        string[] asked = [.. network.Seen.Where(text => text.Contains(host, StringComparison.Ordinal) || loopbacks.Any(l => NetworkListener.IsOf(l, text)))];
        Assert.That(asked, isFake ? Is.Empty : Has.Length.GreaterThanOrEqualTo(3), string.Join('\n', network.Seen.Take(50)));
        Assert.That((_sparkfly.Requests.Count, _sparkfly.TokenRequests.Count), Is.EqualTo(isFake ? (3, 2) : (0, 0)));
    }

    private TestApp App(Order order, Action<IServiceCollection> register) => new(services => Add(order, services, register));

    private void Add(Order order, IServiceCollection services, Action<IServiceCollection> register)
    {
        if (order == Order.Before)
        {
            services.AddFakeSparkfly(_sparkfly);
        }

        register(services);
        if (order == Order.After)
        {
            services.AddFakeSparkfly(_sparkfly);
        }
    }

    private static string NewLoopback() => $"127.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(256)}.{Random.Shared.Next(1, 255)}";

    private static FakePrimary Unwanted() => new(static request => throw new AssertionException($"{request.Method} {request.RequestUri} has left."));

    private sealed class Typed(HttpClient http)
    {
        public HttpClient Http => http;
    }

    private sealed class UnwantedFilter : IHttpMessageHandlerBuilderFilter
    {
        public Action<HttpMessageHandlerBuilder> Configure(Action<HttpMessageHandlerBuilder> next) => builder =>
        {
            next(builder);
            builder.PrimaryHandler = Unwanted();
        };
    }

    /// <summary>Sees every look-up of a name and every connection of this process.</summary>
    private sealed class NetworkListener : EventListener
    {
        public ConcurrentQueue<string> Seen { get; } = new();

        /// <summary>Whether an event is about this address: sockets tell theirs as bytes.</summary>
        public static bool IsOf(string address, string text) => text.Contains($",{address.Replace('.', ',')},", StringComparison.Ordinal);

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name is "System.Net.Sockets" or "System.Net.NameResolution")
            {
                EnableEvents(eventSource, EventLevel.Informational);
            }
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData) =>
            Seen?.Enqueue($"{eventData.EventName} {string.Join(' ', eventData.Payload ?? (IEnumerable<object?>)[])}");
    }
}
