using System.Net;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Rule 6.1: the platform checks a server's certificate against the <c>Host</c> header, so a request to Sparkfly that names another host there is
/// not sent.
/// </summary>
public class HostHeaderTests
{
    /// <summary>Who sets the header.</summary>
    public enum SetBy
    {
        Property,
        RawHeader,
        HandlerAbove,
        HandlerAdded,
    }

    [Test]
    public async Task A_request_to_Sparkfly_that_names_another_host_is_not_sent_and_the_error_says_what_to_do(
        [Values("evil.example", "127.0.0.1.evil.example", "127.0.0.1:1", "localhost")] string host, [Values] SetBy setBy, [Values] Sending sending) =>
        await IsNotSent(host, setBy, sending);

    /// <summary>What the property takes no value of, and the platform sends.</summary>
    [Test]
    public async Task Nor_is_one_whose_raw_header_is_no_host(
        [Values("127.0.0.1, evil.example", "evil@127.0.0.1", "127.0.0.1/evil", "127.0.0.1#evil", "")] string host,
        [Values(SetBy.RawHeader, SetBy.HandlerAbove, SetBy.HandlerAdded)] SetBy setBy,
        [Values] Sending sending) => await IsNotSent(host, setBy, sending);

    [Test]
    public async Task Two_values_are_not_sent_even_if_the_first_is_the_hosts_own_name([Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = sparkfly.App();
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        request.Headers.TryAddWithoutValidation("Host", [sparkfly.BaseAddress.Authority, "evil.example"]);

        Assert.That(async () => (await client.SendAs(sending, request)).Dispose(), Throws.InvalidOperationException.With.Message.Contains("Host header"));

        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((0, 0)));
    }

    [Test]
    public async Task A_Host_header_that_names_the_same_host_is_sent([Values] bool hasPort, [Values] SetBy setBy, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        string host = hasPort ? sparkfly.BaseAddress.Authority : sparkfly.BaseAddress.Host;
        string? seen = null;
        sparkfly.Record(context =>
        {
            seen = context.Request.Headers.Host;
            return false;
        });
        await using TestApp app = App(sparkfly, setBy, host);
        using HttpClient client = app.Client();
        using HttpRequestMessage request = Request("offers", setBy, host);

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That((response.StatusCode, seen), Is.EqualTo((HttpStatusCode.OK, host)));
    }

    [Test]
    public async Task The_same_name_in_other_letters_is_the_same_host(
        [Values("api.sparkfly.com", "API.Sparkfly.COM", "api.sparkfly.com:80")] string host, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        var network = new Network(_ => sparkfly.BaseAddress);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(options =>
            {
                options.Use(sparkfly);
                options.BaseAddress = new Uri("http://api.sparkfly.com/v1.0/");
                options.AllowHttp = true;
            }).ConfigureAuthClient(client => client.ConfigurePrimaryHttpMessageHandler(network.Handler));
            services.AddHttpClient("api").AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(network.Handler);
        });
        using HttpClient client = app.Client();
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers") { Headers = { Host = host } };

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task A_request_to_another_host_keeps_its_Host_header([Values] SetBy setBy, [Values] Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        await using TestApp app = App(sparkfly, setBy, "virtual.example");
        using HttpClient client = app.Client();
        using HttpRequestMessage request = Request(other.Address.AbsoluteUri, setBy, "virtual.example");

        using HttpResponseMessage response = await client.SendAs(sending, request);

        Assert.That(other.Requests.Single().Headers["Host"], Is.EqualTo("virtual.example"));
    }

    [Test]
    public async Task A_token_request_whose_Host_a_handler_of_ConfigureAuthClient_sets_to_another_one_is_not_sent()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = AuthApp(sparkfly, "evil.example");

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => app.Tokens.GetTokenAsync().AsTask());

        Assert.That(exception.Message, Does.Contain("Host header").And.Contain("Remove the header"));
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(sparkfly.TokenRequests, Is.Zero);
    }

    [Test]
    public async Task A_token_request_whose_Host_such_a_handler_sets_to_the_same_one_is_sent()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = AuthApp(sparkfly, sparkfly.BaseAddress.Authority);

        await app.Tokens.GetTokenAsync();

        Assert.That(sparkfly.TokenRequests, Is.EqualTo(1));
    }

    private static async Task IsNotSent(string host, SetBy setBy, Sending sending)
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        await using TestApp app = App(sparkfly, setBy, host);
        using HttpClient client = app.Client();

        foreach (string address in (string[])["offers", "auth", "/auth"])
        {
            using HttpRequestMessage request = Request(address, setBy, host);
            Assert.That(
                async () => (await client.SendAs(sending, request)).Dispose(),
                Throws.InvalidOperationException.With.Message.Contains("Host header").And.Message.Contains("Remove the header").And.Message.Contains("BaseAddress"),
                address);
        }

        Assert.That((sparkfly.TokenRequests, sparkfly.ApiRequests), Is.EqualTo((0, 0)));
    }

    private static TestApp AuthApp(StandInServer sparkfly, string host) => new(services => services.AddSparkflyAuth(options => options.Use(sparkfly))
        .ConfigureAuthClient(client => client.AddHttpMessageHandler(() => Setting(host))));

    private static TestApp App(StandInServer sparkfly, SetBy setBy, string host) => new(services =>
    {
        services.AddSparkflyAuth(options => options.Use(sparkfly));
        IHttpClientBuilder client = services.AddHttpClient("api");
        _ = setBy switch
        {
            SetBy.HandlerAbove => client.AddHttpMessageHandler(() => Setting(host)).AddSparkflyAuthHandler(),
            SetBy.HandlerAdded => client.AddSparkflyAuthHandler().AddHttpMessageHandler(() => Setting(host)),
            _ => client.AddSparkflyAuthHandler(),
        };
    });

    private static InlineHandler Setting(string host) => new((request, send) =>
    {
        request.Headers.Remove("Host");
        request.Headers.TryAddWithoutValidation("Host", host);
        return send(request);
    });

    private static HttpRequestMessage Request(string address, SetBy setBy, string host)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, address);
        if (setBy == SetBy.Property)
        {
            request.Headers.Host = host;
        }
        else if (setBy == SetBy.RawHeader)
        {
            request.Headers.TryAddWithoutValidation("Host", host);
        }

        return request;
    }
}
