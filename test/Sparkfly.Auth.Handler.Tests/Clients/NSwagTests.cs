using System.Collections.Concurrent;
using System.Net;
using NJsonSchema.CodeGeneration.CSharp;
using NSwag;
using NSwag.CodeGeneration.CSharp;
using NSwag.CodeGeneration.OperationNameGenerators;
using SparkflyApi;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Clients that NSwag makes of an OpenAPI description: one as they come, one with the settings that docs/clients.md shows. Both are checked in.
/// </summary>
public class NSwagTests
{
    private const string Folder = "test/Sparkfly.Auth.Handler.Tests/Clients/Described";
    private const string Json = """{"id":19,"name":"Free coffee","terms":null}""";

    [Test]
    public async Task The_page_s_client_gets_the_token_and_the_account_s_base_address()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App(server);
        SparkflyClient client = app.Services.GetRequiredService<SparkflyClient>();

        SparkflyApi.OfferList list = await client.GetOffersAsync();
        await client.GetMemberAsync(17);

        Assert.That(list.Offers.Select(static o => o.Id), Is.EqualTo((long[])[17, 18]));
        Assert.That(seen.Select(static s => s.Url), Is.EqualTo((string[])["/v1.0/offers", "/v1.0/members/17"]));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_401_renews_the_token_and_sends_the_JSON_again()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = App(server);
        SparkflyClient client = app.Services.GetRequiredService<SparkflyClient>();
        await client.GetOffersAsync();
        server.RevokeTokens();

        await client.AddOfferAsync(new SparkflyApi.Offer { Id = 19, Name = "Free coffee" });

        Seen[] posts = [.. seen.Where(static s => s.Method == "POST")];
        Assert.That(posts.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(posts[1].Without("X-Auth-Token"), Is.EqualTo(posts[0].Without("X-Auth-Token")));
        Assert.That(server.TokenRequests, Is.EqualTo(2));
    }

    [Test]
    public async Task A_retry_outside_the_handler_sends_the_JSON_again()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.RecordAndBeUnavailableOnce();
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddHttpClient<SparkflyClient>().AddStandardResilienceWithoutPauses().AddSparkflyAuthHandler();
        });

        await app.Services.GetRequiredService<SparkflyClient>().AddOfferAsync(new SparkflyApi.Offer { Id = 19, Name = "Free coffee" });

        Assert.That(seen.Select(static s => s.Text()), Is.EqualTo((string[])[Json, Json]));
        Assert.That(server.TokenRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task A_failed_token_request_reaches_the_caller_as_it_is_and_an_answer_that_is_no_success_is_the_client_s_ApiException()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        server.OnTokenRequest = static context =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        await using TestApp app = App(server);
        SparkflyClient client = app.Services.GetRequiredService<SparkflyClient>();

        SparkflyAuthenticationException failed = await Thrown.By<SparkflyAuthenticationException>(() => client.GetOffersAsync());
        server.OnTokenRequest = null;
        app.Time.Advance(TimeSpan.FromMinutes(1));
        server.OnApiRequest = static context =>
        {
            context.Response.StatusCode = 404;
            return Task.FromResult(true);
        };
        SparkflyApi.ApiException answered = await Thrown.By<SparkflyApi.ApiException>(() => client.GetOffersAsync());

        Assert.That(failed.AuthStatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That(answered.StatusCode, Is.EqualTo(404));
        SecretSweep.Note(answered.ToString());
    }

    [Test]
    public async Task The_generated_method_for_the_token_request_passes_untouched_and_its_401_renews_nothing([Values] bool isKeyGood)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Seen? seen = null;
        server.OnTokenRequest = async context =>
        {
            seen = await Seen.OfAsync(context);
            return false;
        };
        await using TestApp app = App(server);
        SparkflyClient client = app.Services.GetRequiredService<SparkflyClient>();
        string key = isKeyGood ? server.Options.Key : SecretSweep.NewSecret("key");

        Task call = client.PostAuthAsync(server.Options.Identity, key, "offers", null);

        if (isKeyGood)
        {
            await call;
        }
        else
        {
            Assert.That((await Thrown.By<SparkflyApi.ApiException>(() => call)).StatusCode, Is.EqualTo(401));
        }

        Assert.That((seen!.Method, seen.Url, seen.Token), Is.EqualTo(("POST", "/v1.0/auth", (string?)null)));
        Assert.That((seen.Headers["X-Auth-Identity"], seen.Headers["X-Auth-Key"]), Is.EqualTo((server.Options.Identity, key)));
        Assert.That(seen.Headers["X-Auth-Scope"], Is.EqualTo("offers"));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 0)));
    }

    [Test]
    public async Task As_it_comes_the_client_calls_the_description_s_first_server_without_a_token_and_that_is_logged()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        HttpRequestMessage? sent = null;
        var network = new FakePrimary(request =>
        {
            sent = request;
            return new HttpResponseMessage(HttpStatusCode.Unauthorized);
        });
        await using var app = new TestApp(services =>
        {
            services.AddSparkflyAuth(o => o.Use(server));
            services.AddHttpClient<SparkflyApi.AsItComes.SparkflyClient>().AddSparkflyAuthHandler().ConfigurePrimaryHttpMessageHandler(() => network);
        });

        await Thrown.By<SparkflyApi.AsItComes.ApiException>(
            () => app.Services.GetRequiredService<SparkflyApi.AsItComes.SparkflyClient>().GetOffersAsync("the caller's own"));

        Assert.That(sent!.RequestUri, Is.EqualTo(new Uri("https://api-staging.sparkfly.com/v1.0/offers")));
        Assert.That(sent.Headers.GetValues("X-Auth-Token"), Is.EqualTo((string[])["the caller's own"]));
        Assert.That(server.TokenRequests, Is.Zero);
        Assert.That(app.Log, Has.Some.StartsWith("[Warning]").And.Some.Contains("api-staging.sparkfly.com"));
    }

    [Test]
    public async Task An_empty_BaseUrl_makes_it_call_the_account_s_base_address()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = AsItComes(server);

        await app.Services.GetRequiredService<SparkflyApi.AsItComes.SparkflyClient>().GetOffersAsync("");

        Assert.That(seen.Single().Url, Is.EqualTo("/v1.0/offers"));
    }

    [TestCase("")]
    [TestCase("the caller's own")]
    public async Task Whatever_is_passed_for_a_required_token_parameter_the_account_s_token_is_sent(string passed)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = AsItComes(server);
        SparkflyApi.AsItComes.SparkflyClient client = app.Services.GetRequiredService<SparkflyApi.AsItComes.SparkflyClient>();
        await client.GetOffersAsync(passed);
        server.RevokeTokens();

        await client.GetOffersAsync(passed);

        string?[] tokens = [.. seen.Select(static s => s.Token)];
        Assert.That(tokens, Has.Length.EqualTo(3));
        Assert.That(tokens[1], Is.EqualTo(tokens[0]));
        Assert.That(tokens[2], Is.EqualTo((await app.Tokens.GetTokenAsync()).Value));
    }

    [Test]
    public async Task Null_is_refused_by_the_client()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        await using TestApp app = AsItComes(server);

        await Thrown.By<ArgumentNullException>(() => app.Services.GetRequiredService<SparkflyApi.AsItComes.SparkflyClient>().GetOffersAsync(null));

        Assert.That(server.ApiRequests, Is.Zero);
    }

    /// <summary>The page's code makes the client that these tests call. SPARKFLY_WRITE_CLIENTS=1 in the environment writes both anew.</summary>
    [Test]
    public async Task The_clients_are_what_NSwag_makes_of_the_description()
    {
        string description = Path.Combine(Document.Root, Folder, "sparkfly.openapi.json");

        await CompareAsync("SparkflyClient.g.cs", await GenerateAsync(description));
        await CompareAsync("AsItComes.g.cs", await GenerateAsItComesAsync(description));

        static async Task<string> GenerateAsItComesAsync(string description)
        {
            OpenApiDocument document = await OpenApiDocument.FromFileAsync(description);
            var settings = new CSharpClientGeneratorSettings
            {
                ClassName = "SparkflyClient",
                CSharpGeneratorSettings =
                {
                    Namespace = "SparkflyApi.AsItComes",
                    JsonLibrary = CSharpJsonLibrary.SystemTextJson,
                },
            };
            return new CSharpClientGenerator(document, settings).GenerateFile();
        }

        static async Task CompareAsync(string file, string code)
        {
            string path = Path.Combine(Document.Root, Folder, file);
            code = code.ReplaceLineEndings("\n");
            if (Environment.GetEnvironmentVariable("SPARKFLY_WRITE_CLIENTS") == "1")
            {
                await File.WriteAllTextAsync(path, code);
            }

            Assert.That((await File.ReadAllTextAsync(path)).ReplaceLineEndings("\n"), Is.EqualTo(code), file);
        }
    }

    /// <summary>The page's code.</summary>
    internal static async Task<string> GenerateAsync(string description)
    {
        // <nswag>
        OpenApiDocument document = await OpenApiYamlDocument.FromFileAsync(description);
        var settings = new CSharpClientGeneratorSettings
        {
            ClassName = "SparkflyClient",
            CSharpGeneratorSettings =
            {
                Namespace = "SparkflyApi",
                JsonLibrary = CSharpJsonLibrary.SystemTextJson,
            },

            // One class, not one for each prefix of an operation id.
            OperationNameGenerator = new SingleClientFromOperationIdOperationNameGenerator(),

            // Use the account's base address.
            UseBaseUrl = false,

            // The handler and the content set these.
            ExcludedParameterNames = ["X-Auth-Token", "Content-Type"],
        };
        string code = new CSharpClientGenerator(document, settings).GenerateFile();
        // </nswag>
        return code;
    }

    private static TestApp App(StandInServer server) => new(services =>
    {
        services.AddSparkflyAuth(o => o.Use(server));
        services.AddHttpClient<SparkflyClient>().AddSparkflyAuthHandler();
    });

    private static TestApp AsItComes(StandInServer server) => new(services =>
    {
        services.AddSparkflyAuth(o => o.Use(server));
        services.AddHttpClient("Sparkfly")
            .AddTypedClient(static http => new SparkflyApi.AsItComes.SparkflyClient(http) { BaseUrl = "" })
            .AddSparkflyAuthHandler();
    });
}
