using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Configuration;
using Refit;
using SparkflyStandIn;

// NUnit has one too.
using PropertyAttribute = Refit.PropertyAttribute;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Clients of Refit: where their requests go, what is sent again, which exception a caller sees. docs/clients.md shows this code.</summary>
public class RefitTests
{
    private const string Json = """{"id":19,"name":"Free coffee"}""";

    [Test]
    public async Task The_page_s_client_gets_the_token_and_the_account_s_base_address()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using var app = new TestApp(services =>
        {
            services.AddSingleton<IConfiguration>(Configured.For(server));
            Register(new ProgramBuilder(services));
        });

        IOffersApi offers = app.Services.GetRequiredService<IOffersApi>();

        OfferList list = await offers.GetOffersAsync();
        await offers.GetOffersAsync();

        Assert.That(list.Offers.Select(static o => o.Id), Is.EqualTo((long[])[17, 18]));
        Assert.That(seen.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/offers", "/v1.0/offers"]));
        Assert.That(server.TokenRequests, Is.EqualTo(1));

        static void Register(ProgramBuilder builder)
        {
            // <refit>
            builder.Services.AddSparkflyAuth();
            builder.Services.AddRefitGeneratedClient<IOffersApi>().AddSparkflyAuthHandler();
            // </refit>
        }
    }

    [Test]
    public async Task AddRefitClient_needs_one_package_more()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddRefitClient<IOffersApi>().AddSparkflyAuthHandler();
        });

        NotSupportedException? exception = Assert.Throws<NotSupportedException>(() => app.Services.GetRequiredService<IOffersApi>());

        Assert.That(exception!.Message, Does.Contain("Refit.Reflection"));
    }

    [Test]
    public async Task A_401_renews_the_token_and_sends_the_JSON_again()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App<IOffersApi>(server);
        IOffersApi offers = app.Services.GetRequiredService<IOffersApi>();
        await offers.GetOffersAsync();
        server.RevokeTokens();

        await offers.AddOfferAsync(new Offer(19, "Free coffee"));

        Assert.That(server.TokenRequests, Is.EqualTo(2));
        Seen[] posts = [.. seen.Where(static s => s.Method == "POST")];
        Assert.That(posts.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(posts[1].Without("X-Auth-Token"), Is.EqualTo(posts[0].Without("X-Auth-Token")));
    }

    [Test]
    public async Task A_retry_outside_the_handler_sends_the_JSON_again()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.RecordAndBeUnavailableOnce();
        await using TestApp app = App<IOffersApi>(server, client: static client => client.AddStandardResilienceWithoutPauses());

        await app.Services.GetRequiredService<IOffersApi>().AddOfferAsync(new Offer(19, "Free coffee"));

        Assert.That(seen.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_property_chooses_the_account_of_one_request()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddSparkflyAuth("tacos", options =>
            {
                options.Use(server);
                options.Scope = "tacos";
            });
            services.AddRefitGeneratedClient<IOffersApi>().AddSparkflyAuthHandler();
        });
        IOffersApi offers = app.Services.GetRequiredService<IOffersApi>();

        await offers.GetOffersOfAsync("tacos");
        await offers.GetOffersOfAsync(null);

        string own = (await app.Tokens.GetTokenAsync()).Value;
        string tacos = (await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("tacos").GetTokenAsync()).Value;
        Assert.That(seen.Select(static s => s.Token), Is.EqualTo((string[])[tacos, own]));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task An_account_that_is_not_registered_is_said_inside_Refit_s_exception()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = App<IOffersApi>(server);

        ApiRequestException exception = await Thrown.By<ApiRequestException>(
            () => app.Services.GetRequiredService<IOffersApi>().GetOffersOfAsync("tacso"));

        Assert.That(exception.InnerException, Is.TypeOf<InvalidOperationException>());
        Assert.That(exception.InnerException!.Message, Does.Contain("'tacso' is not registered"));
    }

    [TestCase(UrlResolutionMode.RefitLegacy, true, "/v1.0/offers")]
    [TestCase(UrlResolutionMode.RefitLegacy, false, "/v1.0/offers")]
    [TestCase(UrlResolutionMode.Rfc3986, true, "/offers")]
    [TestCase(UrlResolutionMode.Rfc3986, false, "/offers")]
    public async Task A_leading_slash_keeps_the_base_address_s_path_unless_Refit_is_told_to_go_by_RFC_3986(
        UrlResolutionMode mode, bool hasLastSlash, string expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App<IOffersApi>(
            server,
            new RefitSettings { UrlResolution = mode },
            client => client.ConfigureHttpClient(http => http.BaseAddress = new Uri($"{server.BaseAddress.Root()}/v1.0{(hasLastSlash ? "/" : "")}")));

        await app.Services.GetRequiredService<IOffersApi>().GetOffersAsync();

        Assert.That(seen.Single().Url, Is.EqualTo(expected));
    }

    [Test]
    public async Task An_absolute_address_elsewhere_gets_no_token_and_one_at_Sparkfly_does()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        await using TestApp app = App<IOffersAnywhereApi>(server);
        IOffersAnywhereApi offers = app.Services.GetRequiredService<IOffersAnywhereApi>();

        using IApiResponse<OfferList> elsewhere = await offers.GetOffersAsync(new Uri(other.Address, "offers"));
        using IApiResponse<OfferList> home = await offers.GetOffersAsync(new Uri(server.BaseAddress, "offers"));

        Assert.That((elsewhere.StatusCode, home.StatusCode), Is.EqualTo((HttpStatusCode.Unauthorized, HttpStatusCode.OK)));
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(seen.Single().Token, Is.Not.Null);
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task Without_a_token_the_caller_gets_Refit_s_ApiRequestException_with_the_reason_inside()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { AuthPath = "/elsewhere" });
        await using TestApp app = App<IOffersApi>(server);

        ApiRequestException exception = await Thrown.By<ApiRequestException>(
            () => app.Services.GetRequiredService<IOffersApi>().GetOffersAsync());

        Assert.That(exception.InnerException, Is.TypeOf<SparkflyAuthenticationException>());
    }

    [Test]
    public async Task A_response_wrapper_has_it_as_its_Error()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { AuthPath = "/elsewhere" });
        await using TestApp app = App<IOffersAnywhereApi>(server);

        using IApiResponse<OfferList> response = await app.Services.GetRequiredService<IOffersAnywhereApi>()
            .GetOffersAsync(new Uri(server.BaseAddress, "offers"));

        Assert.That(response.Error?.InnerException, Is.TypeOf<SparkflyAuthenticationException>());
        Assert.That(response.StatusCode, Is.Null);
    }

    [Test]
    public async Task With_the_page_s_settings_the_caller_gets_the_SparkflyAuthenticationException_itself()
    {
        await using StandInServer server = await Sparkfly.StartAsync(static o => o with { AuthPath = "/elsewhere" });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            Register(new ProgramBuilder(services));
        });

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(
            () => app.Services.GetRequiredService<IOffersApi>().GetOffersAsync());

        Assert.That(exception.AuthStatusCode, Is.Not.Null);

        static void Register(ProgramBuilder builder)
        {
            // <refit-exceptions>
            var settings = new RefitSettings
            {
                TransportExceptionFactory = static (_, exception, _) => exception,
            };
            builder.Services.AddRefitGeneratedClient<IOffersApi>(settings).AddSparkflyAuthHandler();
            // </refit-exceptions>
        }
    }

    [Test]
    public async Task An_answer_that_is_no_success_is_Refit_s_ApiException_whose_message_has_no_token_on_it()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.Record(static context =>
        {
            context.Response.StatusCode = 404;
            return true;
        });
        await using TestApp app = App<IOffersApi>(server);

        ApiException exception = await Thrown.By<ApiException>(() => app.Services.GetRequiredService<IOffersApi>().GetOffersAsync());

        Assert.That(exception.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(exception.RequestMessage.Headers.Contains("X-Auth-Token"), Is.False);
        SecretSweep.Note(exception.ToString());
    }

    private static TestApp App<TApi>(StandInServer server, RefitSettings? settings = null, Action<IHttpClientBuilder>? client = null)
        where TApi : class => new(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            IHttpClientBuilder builder = services.AddRefitGeneratedClient<TApi>(settings);
            client?.Invoke(builder);
            builder.AddSparkflyAuthHandler();
        });
}

// <refit-interface>
public interface IOffersApi
{
    [Get("/offers")]
    Task<OfferList> GetOffersAsync(CancellationToken cancellationToken = default);

    [Post("/offers")]
    Task<OfferList> AddOfferAsync([Body] Offer offer, CancellationToken cancellationToken = default);

    // null: the client's own account
    [Get("/offers")]
    Task<OfferList> GetOffersOfAsync([Property("Sparkfly.Account")] string? account, CancellationToken cancellationToken = default);
}

public sealed record OfferList(IReadOnlyList<Offer> Offers);

public sealed record Offer(long Id, string Name);
// </refit-interface>

public interface IOffersAnywhereApi
{
    [Get("")]
    Task<IApiResponse<OfferList>> GetOffersAsync([Url] Uri address, CancellationToken cancellationToken = default);
}
