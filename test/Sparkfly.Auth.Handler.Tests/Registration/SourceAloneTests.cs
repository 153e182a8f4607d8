using System.Net;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Moq;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2 and 6.8: with a source of accounts and no default account, a request that names none passes untouched.</summary>
public class SourceAloneTests
{
    private readonly Mock<ISparkflyAccountSource> _source = new();
    private readonly InMemorySparkfly _sparkfly = new();

    [Test]
    public async Task A_request_that_names_no_account_passes_untouched_and_the_source_is_not_asked([Values] bool isInDefaults, [Values] Sending sending)
    {
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        await using TestApp app = App(isInDefaults, primary: null);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAs(sending, other.Address).WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(other.Requests.Single().Token, Is.Null);
        _source.VerifyNoOtherCalls();
        Assert.That(app.Log, Has.None.Contains("[Warning]"));
    }

    [Test]
    public async Task Its_redirects_are_followed_and_its_cookies_kept_as_without_the_handler()
    {
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = static context =>
        {
            if (context.Request.Path != "/moved")
            {
                return Task.CompletedTask;
            }

            context.Response.Headers.SetCookie = "place=here; Path=/";
            return context.RedirectTo(302, "/here");
        };
        await using TestApp app = App(isInDefaults: true, primary: null);
        using HttpClient client = app.Client();

        using HttpResponseMessage response = await client.GetAsync(new Uri(other.Address, "moved"));

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(other.Requests[^1].Headers["Cookie"], Is.EqualTo("place=here"));
    }

    [Test]
    public async Task To_one_of_Sparkflys_hosts_it_passes_with_one_warning_that_says_what_to_do([Values] bool isInDefaults)
    {
        var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
        await using TestApp app = App(isInDefaults, primary);
        using HttpClient client = app.Client();

        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage response = await client.GetAsync(new Uri("https://api.sparkfly.com/v1.0/offers"));
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        }

        Assert.That(primary.Requests, Is.EqualTo(3));
        Assert.That(app.Log.Where(static e => e.Contains("[Warning]")).Single(), Does.Contain("[34]").And.Contain("https://api.sparkfly.com").And.Contain("SetSparkflyAccount"));
        _source.VerifyNoOtherCalls();
    }

    /// <summary>The warning would be the first entry of the log, which has ended.</summary>
    [Test]
    public async Task It_passes_also_when_the_application_has_ended()
    {
        var primary = new FakePrimary(static _ => new HttpResponseMessage(HttpStatusCode.Unauthorized));
        TestApp app = App(isInDefaults: false, primary);
        using HttpClient client = app.Client();
        await app.DisposeAsync();

        using HttpResponseMessage response = await client.GetAsync(new Uri("https://api.sparkfly.com/v1.0/offers"));

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
    }

    [Test]
    public async Task A_request_that_names_the_default_account_is_an_error_that_says_so()
    {
        await using TestApp app = App(isInDefaults: true, primary: null);
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://sparkfly.test/v1.0/offers");
        request.SetSparkflyAccount("");

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => client.SendAsync(request));

        Assert.That(exception.Message, Does.Contain("The default Sparkfly account is not registered: call services.AddSparkflyAuth()."));
        _source.VerifyNoOtherCalls();
    }

    [Test]
    public async Task A_named_account_is_found_also_after_a_request_that_named_none()
    {
        FindTenant();
        await using TestApp app = App(isInDefaults: true, _sparkfly.Api);
        using HttpClient client = app.Client();
        using HttpResponseMessage without = await client.GetAsync(new Uri("https://sparkfly.test/v1.0/offers"));
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://sparkfly.test/v1.0/offers");
        request.SetSparkflyAccount("tenant");

        using HttpResponseMessage with = await client.SendAsync(request);

        Assert.That((without.StatusCode, with.StatusCode), Is.EqualTo((HttpStatusCode.Unauthorized, HttpStatusCode.OK)));
    }

    [Test]
    public async Task The_handler_can_be_added_by_its_type_for_requests_that_name_their_account()
    {
        FindTenant();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAccountSource<Source>().ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
            services.AddSingleton(_source.Object);
            services.AddHttpClient("api").AddHttpMessageHandler<SparkflyAuthHandler>().ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Api);
        });
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://sparkfly.test/v1.0/offers");
        request.SetSparkflyAccount("tenant");

        using HttpResponseMessage response = await client.SendAsync(request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task The_host_starts_and_stops()
    {
        using IHost host = HostedApp.Build(services => Register(services, isInDefaults: false, primary: null));

        await host.StartAsync();
        await host.StopAsync();
    }

    [Test]
    public async Task A_health_check_of_the_default_account_stops_the_host()
    {
        OptionsValidationException exception = await HostedApp.StartFailsWith<OptionsValidationException>(services =>
        {
            Register(services, isInDefaults: true, primary: null);
            services.AddHealthChecks().AddSparkflyAuth();
        });

        Assert.That(exception.Message, Does.Contain("The health check 'sparkfly'").And.Contain("The default Sparkfly account is not registered"));
    }

    private void FindTenant() =>
        _source.Setup(static s => s.FindAsync("tenant", It.IsAny<CancellationToken>())).ReturnsAsync(() => new SparkflyAuthOptions
        {
            BaseAddress = new Uri("https://sparkfly.test/v1.0"),
            Identity = _sparkfly.Identity,
            Key = _sparkfly.Settings["Key"],
        });

    private TestApp App(bool isInDefaults, HttpMessageHandler? primary) => new(services => Register(services, isInDefaults, primary));

    private void Register(IServiceCollection services, bool isInDefaults, HttpMessageHandler? primary)
    {
        services.AddSparkflyAccountSource<Source>().ConfigureAuthClient(auth => auth.ConfigurePrimaryHttpMessageHandler(() => _sparkfly.Auth));
        services.AddSingleton(_source.Object);
        IHttpClientBuilder client = services.AddHttpClient("api");
        if (isInDefaults)
        {
            services.ConfigureHttpClientDefaults(static clients => clients.AddSparkflyAuthHandler());
        }
        else
        {
            client.AddSparkflyAuthHandler();
        }

        if (primary is not null)
        {
            client.ConfigurePrimaryHttpMessageHandler(() => primary);
        }
    }

    // The mock is registered after it, and so asked.
    private sealed class Source : ISparkflyAccountSource
    {
        public ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
