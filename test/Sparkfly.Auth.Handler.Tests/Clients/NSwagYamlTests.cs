using System.Collections.Concurrent;
using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NJsonSchema.CodeGeneration.CSharp;
using NSwag;
using NSwag.CodeGeneration.CSharp;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A description in YAML of the shape that Sparkfly's has: the client that the code of docs/clients.md generates from it compiles and works.</summary>
public class NSwagYamlTests
{
    private static string Description =>
        Path.Combine(Document.Root, "test/Sparkfly.Auth.Handler.Tests/Clients/Described/sparkfly.openapi.yaml");

    [Test]
    public async Task The_page_s_code_generates_one_class_that_gets_the_token_and_the_account_s_base_address()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = server.App();
        using HttpClient http = app.Client();
        GeneratedClient client = new(await NSwagTests.GenerateAsync(Description), http);

        await client.CallAsync("ListOffersAsync");
        await client.CallAsync("GetOffer_listsOffer_list_idAsync", 17);

        Assert.That(seen.Select(static s => $"{s.Method} {s.Url}"), Is.EqualTo((string[])["GET /v1.0/offers", "GET /v1.0/offer_lists/17"]));
        Assert.That(seen.Select(s => server.IsGood(s.Token)), Is.All.True);
        Assert.That(server.TokenRequests, Is.EqualTo(1));
        Assert.That(client.ParametersOf("CreateOfferAsync"), Is.EqualTo((string[])["body"]), "neither a token nor a content type");
    }

    [Test]
    public async Task With_the_default_operation_names_classes_have_the_same_name_and_members_and_do_not_compile()
    {
        OpenApiDocument document = await OpenApiYamlDocument.FromFileAsync(Description);
        var settings = new CSharpClientGeneratorSettings
        {
            ClassName = "SparkflyClient",
            CSharpGeneratorSettings = { Namespace = "SparkflyApi", JsonLibrary = CSharpJsonLibrary.SystemTextJson },
            UseBaseUrl = false,
        };

        CSharpCompilation compilation = GeneratedClient.Compile(new CSharpClientGenerator(document, settings).GenerateFile());

        Assert.That(compilation.GetDiagnostics().Where(static d => d.Severity == DiagnosticSeverity.Error).Select(static d => d.Id), Has.Some.EqualTo("CS0111"));
    }

    [Test]
    public async Task The_generated_method_for_auth_has_no_parameters_for_credentials_and_its_401_renews_nothing()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Seen? seen = null;
        server.OnTokenRequest = async context =>
        {
            seen = await Seen.OfAsync(context);
            return false;
        };
        await using TestApp app = server.App();
        using HttpClient http = app.Client();
        GeneratedClient client = new(await NSwagTests.GenerateAsync(Description), http);

        Exception? exception = await Assert.CatchAsync(() => client.CallAsync("PostAuthAsync", "offers"));

        Assert.That(client.ParametersOf("PostAuthAsync"), Is.EqualTo((string[])["x_Auth_Scope"]));
        Assert.That(exception!.GetType().Name, Is.EqualTo("ApiException"));
        Assert.That((seen!.Url, seen.Token, seen.Headers.ContainsKey("X-Auth-Key")), Is.EqualTo(("/v1.0/auth", (string?)null, false)));
        Assert.That((server.TokenRequests, server.ApiRequests), Is.EqualTo((1, 0)));
    }

    [TestCase(false, "/v1.0/v1.0/offers", TestName = "Paths_with_v1_0_go_to_v1_0_twice_with_the_account_s_base_address")]
    [TestCase(true, "/v1.0/offers", TestName = "Paths_with_v1_0_go_there_with_the_root_as_the_client_s_base_address_and_with_the_token")]
    public async Task Paths_with_v1_0(bool hasRoot, string expected)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        ConcurrentQueue<Seen> seen = server.Record(static _ => false);
        await using TestApp app = server.App(client: client => client.ConfigureHttpClient(http =>
            http.BaseAddress = hasRoot ? new Uri(server.BaseAddress.Root()) : http.BaseAddress));
        using HttpClient http = app.Client();
        string code = await NSwagTests.GenerateAsync(Description);
        GeneratedClient client = new(code.Replace("urlBuilder_.Append(\"offers\")", "urlBuilder_.Append(\"v1.0/offers\")", StringComparison.Ordinal), http);

        await client.CallAsync("ListOffersAsync");

        Assert.That(seen.Single().Url, Is.EqualTo(expected));
        Assert.That(server.IsGood(seen.Single().Token), Is.True);
    }

    /// <summary>A client that is compiled in the test.</summary>
    private sealed class GeneratedClient
    {
        private static readonly MetadataReference[] s_references = [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
            .Split(Path.PathSeparator)
            .Where(static p => Path.GetFileName(p) != "Sparkfly.Auth.Handler.Tests.dll")
            .Select(static p => MetadataReference.CreateFromFile(p))];

        private readonly object _client;

        public GeneratedClient(string code, HttpClient http)
        {
            using var image = new MemoryStream();
            Microsoft.CodeAnalysis.Emit.EmitResult result = Compile(code).Emit(image);
            Assert.That(result.Success, () => string.Join('\n', result.Diagnostics.Where(static d => d.Severity == DiagnosticSeverity.Error)));
            _client = Activator.CreateInstance(Assembly.Load(image.ToArray()).GetType("SparkflyApi.SparkflyClient")!, http)!;
        }

        public static CSharpCompilation Compile(string code) => CSharpCompilation.Create(
            $"Generated{Guid.NewGuid():N}",
            [CSharpSyntaxTree.ParseText(code, new CSharpParseOptions(LanguageVersion.Latest))],
            s_references,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));

        public Task CallAsync(string name, params object[] arguments) => (Task)Method(name).Invoke(_client, arguments)!;

        public string[] ParametersOf(string name) => [.. Method(name).GetParameters().Select(static p => p.Name!)];

        // The overload without a CancellationToken.
        private MethodInfo Method(string name) => _client.GetType().GetMethods()
            .Single(m => m.Name == name && m.GetParameters().All(static p => p.ParameterType != typeof(CancellationToken)));
    }
}
