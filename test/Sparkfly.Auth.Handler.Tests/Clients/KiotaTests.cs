using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.Kiota.Abstractions;
using Microsoft.Kiota.Abstractions.Authentication;
using Microsoft.Kiota.Abstractions.Serialization;
using Microsoft.Kiota.Http.HttpClientLibrary;
using Microsoft.Kiota.Http.HttpClientLibrary.Extensions;
using Microsoft.Kiota.Http.HttpClientLibrary.Middleware.Options;
using Microsoft.Kiota.Serialization.Json;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Kiota's adapter over a client with the handler, and Kiota's default middleware on either side of it. docs/clients.md shows this code.
/// </summary>
public class KiotaTests
{
    private const string Json = """{"id":19,"name":"Free coffee"}""";

    /// <summary>Where Kiota's middleware stands.</summary>
    public enum Place
    {
        /// <summary>Added before our handler.</summary>
        Outside,

        /// <summary>Added after it.</summary>
        Inside,

        /// <summary>Chained over Kiota's primary handler, as <see cref="KiotaClientFactory"/> does, and given to the client as its primary handler.</summary>
        Primary,
    }

    /// <summary>Who follows redirects: our handler, in place of the factory's primary handler, or Kiota's middleware over Kiota's.</summary>
    public enum Follower
    {
        Primary,
        Kiota,
    }

    [Test]
    public async Task The_page_s_client_gets_the_token_and_the_account_s_base_address()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            Register(new ProgramBuilder(services));
        });
        var offers = new KiotaOffers(app.Services.GetRequiredService<IRequestAdapter>());

        KiotaOfferList? list = await offers.GetAsync();
        await offers.GetAsync();

        Assert.That(list!.Offers.Select(static o => o.Id), Is.EqualTo((long?[])[17, 18]));
        Assert.That(seen.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/offers", "/v1.0/offers"]));
        Assert.That(seen.Select(static s => s.Headers["User-Agent"]), Is.All.Contains("kiota"), "Kiota's middleware is there");
        Assert.That(server.TokenRequests, Is.EqualTo(1));

        static void Register(ProgramBuilder builder)
        {
            // <kiota>
            builder.Services.AddHttpClient("Sparkfly")
                .ConfigureAdditionalHttpMessageHandlers(static (handlers, _) =>
                {
                    foreach (DelegatingHandler handler in KiotaClientFactory.CreateDefaultHandlers())
                    {
                        handlers.Add(handler);
                    }
                })
                .AddSparkflyAuthHandler();

            builder.Services.AddTransient<IRequestAdapter>(static services => new HttpClientRequestAdapter(
                new AnonymousAuthenticationProvider(),
                httpClient: services.GetRequiredService<IHttpClientFactory>().CreateClient("Sparkfly")));
            // </kiota>
        }
    }

    [Test]
    public async Task An_adapter_that_is_given_no_client_makes_its_own_which_has_no_token()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        using var adapter = new HttpClientRequestAdapter(new AnonymousAuthenticationProvider()) { BaseUrl = server.BaseAddress.AbsoluteUri };

        ApiException exception = await Thrown.By<ApiException>(() => new KiotaOffers(adapter).GetAsync());

        Assert.That(exception.ResponseStatusCode, Is.EqualTo(401));
        Assert.That(seen.Single().Token, Is.Null);
    }

    [Test]
    public async Task A_401_renews_the_token_and_sends_the_JSON_again([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App(server, place);
        KiotaOffers offers = Offers(app);
        await offers.GetAsync();
        server.RevokeTokens();

        await offers.AddAsync(new KiotaOffer { Id = 19, Name = "Free coffee" });

        Seen[] posts = [.. seen.Where(static s => s.Method == "POST")];
        Assert.That(posts.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(posts[1].Without("X-Auth-Token"), Is.EqualTo(posts[0].Without("X-Auth-Token")));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_redirect_elsewhere_arrives_without_the_token_whoever_follows_it_and_a_401_there_renews_nothing(
        [Values] Place place, [Values] Follower follower)
    {
        follower = place == Place.Primary ? Follower.Kiota : follower;
        await using StandInServer server = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.AnswerAlways(HttpStatusCode.Unauthorized);
        server.Redirect("/v1.0/offers", new Uri(other.Address, "taken").AbsoluteUri);
        int followed = 0;
        await using TestApp app = App(server, place, follower, new RedirectHandlerOption { ShouldRedirect = _ => ++followed > 0 });

        ApiException exception = await Thrown.By<ApiException>(() => Offers(app).AddAsync(new KiotaOffer { Id = 19, Name = "Free coffee" }));

        Assert.That(exception.ResponseStatusCode, Is.EqualTo(401));
        Assert.That(followed, Is.EqualTo(follower == Follower.Kiota ? 1 : 0), "redirects that Kiota's handler saw");
        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(other.Requests.Single().Text(), Is.EqualTo(Json));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 1)));
    }

    /// <summary>Kiota's handler makes a new request of each hop, and one to Sparkfly is a request to Sparkfly.</summary>
    [TestCase(Place.Outside, Follower.Primary, false)]
    [TestCase(Place.Inside, Follower.Primary, false)]
    [TestCase(Place.Inside, Follower.Kiota, true)]
    [TestCase(Place.Outside, Follower.Kiota, true)]
    [TestCase(Place.Primary, Follower.Kiota, true)]
    public async Task A_chain_that_leaves_and_comes_back_comes_without_the_token_unless_Kiota_s_handler_follows_it(
        Place place, Follower follower, bool comesWithToken)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using RecordingServer other = await RecordingServer.StartAsync();
        other.Answer = context => context.RedirectTo(307, new Uri(server.BaseAddress, "back").AbsoluteUri);
        ConcurrentQueue<Seen> seen = server.Record(context =>
        {
            bool isFirst = context.Request.Path == "/v1.0/offers";
            context.Response.StatusCode = 204;
            return !isFirst || context.RedirectTo(307, other.Address.AbsoluteUri).IsCompleted;
        });
        await using TestApp app = App(server, place, follower);

        await Offers(app).GetAsync();

        Assert.That(other.Requests.Single().Token, Is.Null);
        Assert.That(seen.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/offers", "/v1.0/back"]));
        Assert.That(seen.Select(static s => s.Token is not null), Is.EqualTo((bool[])[true, comesWithToken]));
    }

    /// <summary>Rule 4.1: the service has accepted the POST, so only the GET that it leads to is sent again.</summary>
    [TestCase(Place.Outside, Follower.Primary)]
    [TestCase(Place.Outside, Follower.Kiota)]
    [TestCase(Place.Inside, Follower.Primary)]
    [TestCase(Place.Inside, Follower.Kiota)]
    [TestCase(Place.Primary, Follower.Kiota)]
    public async Task A_POST_that_was_answered_303_is_not_sent_again_when_the_GET_that_follows_is_answered_401(Place place, Follower follower)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(context =>
        {
            if (context.Request.Method != "POST")
            {
                return false;
            }

            server.RevokeTokens();
            return context.RedirectTo(303, new Uri(server.BaseAddress, "members").AbsoluteUri).IsCompleted;
        });
        await using TestApp app = App(server, place, follower);

        await Offers(app).AddAsync(new KiotaOffer { Id = 19, Name = "Free coffee" });

        Assert.That(
            seen.Select(static s => $"{s.Method} {s.Url} {s.Text()}"),
            Is.EqualTo((string[])[$"POST /v1.0/offers {Json}", "GET /v1.0/members ", "GET /v1.0/members "]));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task Kiota_s_retry_sends_the_JSON_again_with_the_token_after_a_401_too([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = App(server, place);
        KiotaOffers offers = Offers(app);
        await offers.GetAsync();
        server.RevokeTokens();
        ConcurrentQueue<Seen> seen = server.RecordAndBeUnavailableOnce();

        await offers.AddAsync(new KiotaOffer { Id = 19, Name = "Free coffee" });

        Assert.That(seen.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json, Json]), "401, 503, 200");
        Assert.That(seen.Select(s => server.IsGood(s.Token)), Is.EqualTo((bool[])[false, true, true]));
        Assert.That(seen.Select(static s => s.Headers.GetValueOrDefault("Retry-Attempt")), Is.EqualTo((string?[])[null, null, "1"]));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task The_standard_resilience_handler_outside_sends_the_JSON_again([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.RecordAndBeUnavailableOnce();
        var noRetries = new RetryHandlerOption { ShouldRetry = static (_, _, _) => false };
        await using TestApp app = App(server, place, option: noRetries, client: static client => client.AddStandardResilienceWithoutPauses());

        await Offers(app).AddAsync(new KiotaOffer { Id = 19, Name = "Free coffee" });

        Assert.That(seen.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(seen.Select(static s => s.Headers.ContainsKey("Retry-Attempt")), Has.None.True, "Kiota's own retries");
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [TestCase(429)]
    [TestCase(503)]
    public async Task A_status_that_Kiota_retries_ends_in_an_AggregateException_of_ApiExceptions(int status)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.RetryAfter = "0";
            return true;
        });
        await using TestApp app = App(server, Place.Outside);

        AggregateException exception = await Thrown.By<AggregateException>(() => Offers(app).GetAsync());

        Assert.That(exception.InnerExceptions, Is.All.InstanceOf<ApiException>());
        Assert.That(exception.InnerExceptions.Select(static e => ((ApiException)e).ResponseStatusCode), Is.All.EqualTo(status));
        Assert.That(seen, Has.Count.EqualTo(4), "the request and three retries");
    }

    [Test]
    public async Task A_failed_token_request_reaches_the_caller_as_it_is_and_is_not_retried_by_Kiota([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        await using TestApp app = App(server, place);

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => Offers(app).GetAsync());

        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 0)));
    }

    [Test]
    public async Task An_answer_that_is_no_success_is_Kiota_s_ApiException([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.Record(static context =>
        {
            context.Response.StatusCode = 404;
            return true;
        });
        await using TestApp app = App(server, place);

        ApiException exception = await Thrown.By<ApiException>(() => Offers(app).GetAsync());

        Assert.That(exception.ResponseStatusCode, Is.EqualTo(404));
        SecretSweep.Note(exception.ToString());
    }

    [Test]
    public async Task A_body_that_Kiota_inspects_is_sent_whole_and_sent_again_after_a_401([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App(server, place);
        KiotaOffers offers = Offers(app);
        await offers.GetAsync();
        server.RevokeTokens();
        var inspection = new BodyInspectionHandlerOption { InspectRequestBody = true, InspectResponseBody = true };

        KiotaOfferList? answer = await offers.AddAsync(new KiotaOffer { Id = 19, Name = "Free coffee" }, inspection);

        Assert.That(seen.Where(static s => s.Method == "POST").Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(Text(inspection.RequestBody), Is.EqualTo(Json));
        Assert.That(Text(inspection.ResponseBody), Does.Contain("bagel"));
        Assert.That(answer!.Offers, Has.Count.EqualTo(2));
    }

    [Test]
    public async Task So_is_a_one_way_stream([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App(server, place);
        KiotaOffers offers = Offers(app);
        await offers.GetAsync();
        server.RevokeTokens();

        await offers.UploadAsync(new OneWayStream(Encoding.UTF8.GetBytes("one way")), new BodyInspectionHandlerOption { InspectRequestBody = true });

        Assert.That(seen.Where(static s => s.Method == "POST").Select(static s => s.Text()), Is.EqualTo((string[])["one way", "one way"]));
    }

    [Test]
    public async Task An_option_chooses_the_account_of_one_request([Values] Place place)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App(
            server, place, client: static client => client.AddHttpMessageHandler(static () => new SparkflyAccountHandler()));
        KiotaOffers offers = Offers(app);

        await offers.GetAsync(new SparkflyAccountOption("tacos"));
        await offers.GetAsync();

        string own = (await app.Tokens.GetTokenAsync()).Value;
        string tacos = (await app.Services.GetRequiredKeyedService<ISparkflyTokenProvider>("tacos").GetTokenAsync()).Value;
        Assert.That(seen.Select(static s => s.Token), Is.EqualTo((string[])[tacos, own]));
    }

    private static string Text(Stream? body) => new StreamReader(body!).ReadToEnd();

    private static KiotaOffers Offers(TestApp app) =>
        new(new HttpClientRequestAdapter(new AnonymousAuthenticationProvider(), httpClient: app.Client()));

    private static TestApp App(
        StandInServer server,
        Place place,
        Follower follower = Follower.Primary,
        IRequestOption? option = null,
        Action<IHttpClientBuilder>? client = null) =>
        new(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddSparkflyAuth("tacos", options =>
            {
                options.Use(server);
                options.Scope = "tacos";
            });
            IHttpClientBuilder builder = services.AddHttpClient("api");
            client?.Invoke(builder);
            if (place == Place.Inside)
            {
                builder.AddSparkflyAuthHandler();
            }

            if (place == Place.Primary)
            {
                builder.AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => KiotaClientFactory.ChainHandlersCollectionAndGetFirstLink(
                    KiotaClientFactory.GetDefaultHttpMessageHandler(), [.. KiotaClientFactory.CreateDefaultHandlers(Options())])!);
                return;
            }

            builder.ConfigureAdditionalHttpMessageHandlers((handlers, _) =>
            {
                foreach (DelegatingHandler handler in KiotaClientFactory.CreateDefaultHandlers(Options()))
                {
                    handlers.Add(handler);
                }
            });
            if (place == Place.Outside)
            {
                builder.AddSparkflyAuthHandler();
            }

            IRequestOption[] Options() => option is null ? [] : [option];

            if (follower == Follower.Kiota)
            {
                builder.ConfigurePrimaryHttpMessageHandler(static () => KiotaClientFactory.GetDefaultHttpMessageHandler());
            }
        });
}

// <kiota-account>
public sealed record SparkflyAccountOption(string Name) : IRequestOption;

public sealed class SparkflyAccountHandler : DelegatingHandler
{
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.GetRequestOption<SparkflyAccountOption>() is { } account)
        {
            request.SetSparkflyAccount(account.Name);
        }

        return base.SendAsync(request, cancellationToken);
    }
}
// </kiota-account>

/// <summary>Calls as a generated client makes them.</summary>
internal sealed class KiotaOffers
{
    private const string Template = "{+baseurl}/offers";

    private readonly IRequestAdapter _adapter;

    public KiotaOffers(IRequestAdapter adapter)
    {
        ApiClientBuilder.RegisterDefaultSerializer<JsonSerializationWriterFactory>();
        ApiClientBuilder.RegisterDefaultDeserializer<JsonParseNodeFactory>();
        if (string.IsNullOrEmpty(adapter.BaseUrl))
        {
            adapter.BaseUrl = "https://api-staging.sparkfly.com/v1.0";
        }

        _adapter = adapter;
    }

    public Task<KiotaOfferList?> GetAsync(params IRequestOption[] options) =>
        SendAsync(new RequestInformation(Method.GET, Template, NoParameters()), options);

    public Task<KiotaOfferList?> AddAsync(KiotaOffer offer, params IRequestOption[] options)
    {
        var request = new RequestInformation(Method.POST, Template, NoParameters());
        request.SetContentFromParsable(_adapter, "application/json", offer);
        return SendAsync(request, options);
    }

    public Task<KiotaOfferList?> UploadAsync(Stream body, params IRequestOption[] options)
    {
        var request = new RequestInformation(Method.POST, Template, NoParameters());
        request.SetStreamContent(body, "application/octet-stream");
        return SendAsync(request, options);
    }

    private static Dictionary<string, object> NoParameters() => [];

    private Task<KiotaOfferList?> SendAsync(RequestInformation request, IRequestOption[] options)
    {
        request.Headers.Add("Accept", "application/json");
        request.AddRequestOptions(options);
        return _adapter.SendAsync(request, static _ => new KiotaOfferList());
    }
}

internal sealed class KiotaOfferList : IParsable
{
    public List<KiotaOffer> Offers { get; private set; } = [];

    public IDictionary<string, Action<IParseNode>> GetFieldDeserializers() => new Dictionary<string, Action<IParseNode>>
    {
        ["offers"] = node => Offers = [.. node.GetCollectionOfObjectValues(static _ => new KiotaOffer())],
    };

    public void Serialize(ISerializationWriter writer) => writer.WriteCollectionOfObjectValues("offers", Offers);
}

internal sealed class KiotaOffer : IParsable
{
    public long? Id { get; set; }

    public string? Name { get; set; }

    public IDictionary<string, Action<IParseNode>> GetFieldDeserializers() => new Dictionary<string, Action<IParseNode>>
    {
        ["id"] = node => Id = node.GetLongValue(),
        ["name"] = node => Name = node.GetStringValue(),
    };

    public void Serialize(ISerializationWriter writer)
    {
        writer.WriteLongValue("id", Id);
        writer.WriteStringValue("name", Name);
    }
}
