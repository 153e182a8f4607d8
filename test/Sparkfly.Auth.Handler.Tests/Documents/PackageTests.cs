using System.Buffers.Binary;
using System.IO.Compression;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What is released: the packages themselves, and an application that installs them.</summary>
[Category("Long")]
public class PackageTests
{
    private static readonly string[] s_dependencies =
    [
        "Microsoft.Extensions.Caching.Memory 10.0.0",
        "Microsoft.Extensions.Configuration.Binder 10.0.0",
        "Microsoft.Extensions.Diagnostics.HealthChecks 10.0.0",
        "Microsoft.Extensions.Hosting.Abstractions 10.0.0",
        "Microsoft.Extensions.Http 10.0.0",
        "Microsoft.Extensions.Options 10.0.0",
        "Microsoft.Extensions.Options.ConfigurationExtensions 10.0.0",
    ];

    private static readonly string[] s_frameworks = ["net8.0", "net10.0"];

    private static string[] Ids => PackedPackages.Ids;

    private static string References => string.Concat(Ids.Select(static id => $"""<PackageReference Include="{id}" Version="{PackedPackages.Version}" />"""));

    [TestCaseSource(nameof(Ids))]
    public async Task A_package_has_what_a_feed_shows_and_an_editor_reads(string id)
    {
        using ZipArchive package = await PackedPackages.OpenAsync(id, "nupkg");
        XElement metadata = Metadata(package, id);
        using var icon = new BinaryReader(package.GetEntry("icon.png")!.Open());
        byte[] head = icon.ReadBytes(24);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(package.GetEntry("README.md"), Is.Not.Null);
            Assert.That(Value("id"), Is.EqualTo(id));
            Assert.That(Value("version"), Is.EqualTo(PackedPackages.Version));
            Assert.That(Value("license"), Is.EqualTo("MIT"));
            Assert.That(Value("readme"), Is.EqualTo("README.md"));
            Assert.That(Value("icon"), Is.EqualTo("icon.png"));
            Assert.That(Value("description"), Has.Length.InRange(100, 400).And.Contains("Sparkfly"));
            Assert.That(Value("tags")!.Split(' '), Is.Unique.And.SupersetOf((string[])["sparkfly", "authentication", "token", "httpclient"]));
            Assert.That(Value("projectUrl"), Is.EqualTo("https://example.com/owner/sparkfly-auth-handler"));
            Assert.That(Value("releaseNotes"), Does.Contain("CHANGELOG.md"));
            Assert.That(Text("CHANGELOG.md"), Does.Contain("## [0.2.0]"));
            Assert.That(Text("README.md"), Does.StartWith($"# {id}\n"), "its own README.md");
            Assert.That(head[1..4], Is.EqualTo("PNG"u8.ToArray()));
            Assert.That(BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(16)), Is.EqualTo(128), "the width that NuGet recommends");
            Assert.That(BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(20)), Is.EqualTo(128), "the height");
        }

        string? Value(string name) => metadata.Elements().SingleOrDefault(e => e.Name.LocalName == name)?.Value;

        string Text(string file)
        {
            using var reader = new StreamReader(package.GetEntry(file)!.Open());
            return reader.ReadToEnd().ReplaceLineEndings("\n");
        }
    }

    /// <summary>The next release has a version of its own, and its heading in the changelog.</summary>
    [Test]
    public void The_version_of_the_packages_is_the_first_one_of_the_changelog()
    {
        string version = XDocument.Load(Path.Combine(Document.Root, "Directory.Build.props")).Descendants("VersionPrefix").Single().Value;

        Assert.That(Document.Lines("CHANGELOG.md").First(static l => l.StartsWith("## ", StringComparison.Ordinal)), Does.StartWith($"## [{version}]"));
    }

    /// <summary>A feed shows the page without its repository. That its links lead somewhere there, <see cref="DocumentationTests"/> checks.</summary>
    [TestCaseSource(nameof(Ids))]
    public async Task The_links_of_a_packages_page_are_absolute_and_nothing_else_of_it_is_changed(string id)
    {
        string source = id == "Sparkfly.Auth.Handler" ? "README.md" : $"src/{id}/README.md";
        using ZipArchive package = await PackedPackages.OpenAsync(id, "nupkg");
        using var reader = new StreamReader(package.GetEntry("README.md")!.Open());
        string packed = await reader.ReadToEndAsync();

        Assert.That(Regex.Matches(packed, @"\]\(([^)]*)\)").Select(static m => m.Groups[1].Value), Has.All.Match("^(https://|#)"));
        Assert.That(
            packed.Replace($"{PackedPackages.RepositoryUrl[..^4]}/raw/main/", "").Replace($"{PackedPackages.RepositoryUrl[..^4]}/blob/main/", "").TrimEnd(),
            Is.EqualTo((await File.ReadAllTextAsync(Path.Combine(Document.Root, source))).TrimEnd()));
    }

    /// <summary>A file outside a framework's folder would make restore take the package for one that supports every framework.</summary>
    [TestCaseSource(nameof(Ids))]
    public async Task A_package_is_for_NET_8_and_NET_10_and_for_no_other_framework(string id)
    {
        using ZipArchive package = await PackedPackages.OpenAsync(id, "nupkg");
        string[] files = [.. package.Entries.Select(static e => e.FullName)];
        string[] ofBuild = [.. files.Where(static f => f.StartsWith("build", StringComparison.Ordinal))];

        Assert.That(files.Where(static f => f.StartsWith("lib/", StringComparison.Ordinal)), Is.EquivalentTo(
            s_frameworks.SelectMany(f => (string[])[$"lib/{f}/{id}.dll", $"lib/{f}/{id}.xml"])));
        Assert.That(ofBuild, Has.All.Match("^build(Transitive)?/net8.0/"));
        foreach (string framework in s_frameworks)
        {
            using Stream documentation = package.GetEntry($"lib/{framework}/{id}.xml")!.Open();
            Assert.That(XDocument.Load(documentation).Descendants("member").Count(), Is.GreaterThan(1), framework);
        }
    }

    [TestCaseSource(nameof(Ids))]
    public async Task A_package_has_its_symbols_beside_it(string id)
    {
        using ZipArchive symbols = await PackedPackages.OpenAsync(id, "snupkg");

        Assert.That(
            symbols.Entries.Select(static e => e.FullName).Where(static f => f.EndsWith(".pdb", StringComparison.Ordinal)),
            Is.EquivalentTo(s_frameworks.Select(f => $"lib/{f}/{id}.pdb")));
    }

    /// <summary>Its dependencies are the first releases of their line, so that an application is never made to move.</summary>
    [TestCaseSource(nameof(Ids))]
    public async Task A_package_stands_on_the_platform_s_first_10_0_and_on_nothing_else(string id)
    {
        using ZipArchive package = await PackedPackages.OpenAsync(id, "nupkg");
        string[] others = [.. s_frameworks.SelectMany(f => Dependencies(package, id, f)).Except(PackedPackages.Ids.Select(static i => $"{i} {PackedPackages.Version}"))
            .Where(static d => !d.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal) || !d.EndsWith(" 10.0.0", StringComparison.Ordinal))];

        Assert.That(others, Is.Empty);
    }

    [Test]
    public async Task The_handler_s_package_has_the_dependencies_that_the_decisions_list()
    {
        using ZipArchive package = await PackedPackages.OpenAsync("Sparkfly.Auth.Handler", "nupkg");

        Assert.That(Dependencies(package, "Sparkfly.Auth.Handler", "net8.0"), Is.EquivalentTo(s_dependencies));
        Assert.That(Dependencies(package, "Sparkfly.Auth.Handler", "net10.0"), Is.EquivalentTo(s_dependencies));
    }

    [Test]
    public async Task The_handler_s_package_has_the_schema_of_its_settings_and_tells_editors_of_it()
    {
        using ZipArchive package = await PackedPackages.OpenAsync("Sparkfly.Auth.Handler", "nupkg");

        Assert.That(package.GetEntry("ConfigurationSchema.json"), Is.Not.Null);
        Assert.That(package.GetEntry("buildTransitive/net8.0/Sparkfly.Auth.Handler.targets"), Is.Not.Null);
    }

    /// <summary>Contract: the targets are .NET 8 and .NET 10. Without this an application installs the package and finds no type.</summary>
    [Test]
    public async Task Restore_refuses_other_frameworks_with_NU1202()
    {
        string[] frameworks = ["net6.0", "net472", "netstandard2.0"];
        string folder = await PackedPackages.NewFolderAsync("Library");
        string project = Path.Combine(folder, "Library.csproj");
        await File.WriteAllTextAsync(project, $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFrameworks>{string.Join(';', frameworks)}</TargetFrameworks>
                <!-- What NuGet would be asked for besides. -->
                <DisableImplicitFrameworkReferences>true</DisableImplicitFrameworkReferences>
                <AutomaticallyUseReferenceAssemblyPackages>false</AutomaticallyUseReferenceAssemblyPackages>
              </PropertyGroup>
              <ItemGroup>
                {References}
              </ItemGroup>
            </Project>
            """);

        (int exitCode, string output) = await PackedPackages.TryDotNetAsync("restore", project);

        Assert.That(exitCode, Is.Not.Zero, output);
        using (Assert.EnterMultipleScope())
        {
            foreach (string framework in frameworks)
            {
                foreach (string id in Ids)
                {
                    Assert.That(output, Does.Contain($"NU1202: Package {id} {PackedPackages.Version} is not compatible with {framework}"));
                }
            }
        }
    }

    /// <summary>
    /// An application that installs the packages from a feed, and is README.md's code and settings. On .NET 8 it brings its
    /// runtime, which the machine need not have.
    /// </summary>
    [TestCaseSource(nameof(s_frameworks))]
    public async Task An_application_that_installs_the_packages_builds_without_a_warning_and_calls_Sparkfly(string framework)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        bool isSelfContained = framework != "net10.0";
        string folder = await PackedPackages.NewFolderAsync($"Application-{framework}");
        string project = Path.Combine(folder, "Application.csproj");
        string[] code = [.. Markdown.Blocks("README.md", "csharp").Select(static b => b.Text)];
        await File.WriteAllTextAsync(project, $"""
            <Project Sdk="Microsoft.NET.Sdk.Web">
              <PropertyGroup>
                <TargetFramework>{framework}</TargetFramework>
                <SelfContained>{isSelfContained}</SelfContained>
                <RuntimeIdentifier>$(NETCoreSdkPortableRuntimeIdentifier)</RuntimeIdentifier>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <!-- A feed that lacks the lowest version of an indirect dependency takes the next one. -->
                <WarningsNotAsErrors>NU1603</WarningsNotAsErrors>
              </PropertyGroup>
              <ItemGroup>
                {References}
              </ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(Path.Combine(folder, "appsettings.json"), Markdown.Blocks("README.md", "json").First().Text);
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), $$"""
            var builder = WebApplication.CreateBuilder(args);
            {{code[0]}}
            {{code[3]}}
            builder.Services.ConfigureHttpClientDefaults(static client => client.AddStandardResilienceHandler());
            await using WebApplication app = builder.Build();
            await app.StartAsync();
            using HttpResponseMessage response = await app.Services.GetRequiredService<OffersClient>().GetOffersAsync();
            int ofFake = new Sparkfly.Auth.Handler.Testing.FakeSparkfly().TokenRequests.Count;
            Console.WriteLine($"answered {response.StatusCode} on .NET {Environment.Version.Major}, and the fake had {ofFake} token requests");
            {{code[1]}}
            """);

        await PackedPackages.DotNetAsync("build", project, "--output", Path.Combine(folder, "out"));
        using JsonDocument items = JsonDocument.Parse(await PackedPackages.DotNetAsync("msbuild", project, "-getItem:JsonSchemaSegment"));
        (string Name, string Value)[] environment =
        [
            ("ASPNETCORE_CONTENTROOT", folder),
            ("ASPNETCORE_URLS", "http://127.0.0.1:0"),
            ("Sparkfly__BaseAddress", server.BaseAddress.AbsoluteUri),
            ("Sparkfly__Identity", server.Options.Identity),
            ("Sparkfly__Key", server.Options.Key),
        ];
        string program = Path.Combine(folder, "out", "Application");
        await using Subprocess application = isSelfContained
            ? Subprocess.Start(OperatingSystem.IsWindows() ? $"{program}.exe" : program, [], environment)
            : Subprocess.DotNet([$"{program}.dll"], environment);

        Assert.That(await application.ReadUntilAsync($"answered OK on .NET {framework[3..^2]}"), () => application.Errors);
        Assert.That(await application.EndAsync(), Is.Zero, () => application.Errors);
        Assert.That(server.TokenRequests, Is.EqualTo(1));
        Assert.That(server.ApiRequests, Is.EqualTo(1));
        JsonElement schema = items.RootElement.GetProperty("Items").GetProperty("JsonSchemaSegment").EnumerateArray().Single();
        Assert.That(schema.GetProperty("FilePathPattern").GetString(), Is.EqualTo(@"appsettings\..*json"));
        Assert.That(schema.GetProperty("FullPath").GetString(), Does.Exist.And.EndsWith("ConfigurationSchema.json"));
    }

    private static XElement Metadata(ZipArchive package, string id) =>
        XDocument.Load(package.GetEntry($"{id}.nuspec")!.Open()).Root!.Elements().Single(static e => e.Name.LocalName == "metadata");

    private static IEnumerable<string> Dependencies(ZipArchive package, string id, string framework) => Metadata(package, id).Descendants()
        .Single(e => e.Name.LocalName == "group" && e.Attribute("targetFramework")?.Value == framework && e.Parent!.Name.LocalName == "dependencies")
        .Elements()
        .Select(static e => $"{e.Attribute("id")!.Value} {e.Attribute("version")!.Value}");
}
