using System.Buffers.Binary;
using System.IO.Compression;
using System.Text.Json;
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
        "Microsoft.Extensions.Diagnostics.HealthChecks 10.0.0",
        "Microsoft.Extensions.Hosting.Abstractions 10.0.0",
        "Microsoft.Extensions.Http 10.0.0",
        "Microsoft.Extensions.Options 10.0.0",
        "Microsoft.Extensions.Options.ConfigurationExtensions 10.0.0",
    ];

    private static string[] Ids => PackedPackages.Ids;

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
            Assert.That(package.GetEntry($"lib/net10.0/{id}.dll"), Is.Not.Null);
            Assert.That(Value("id"), Is.EqualTo(id));
            Assert.That(Value("version"), Is.EqualTo(PackedPackages.Version));
            Assert.That(Value("license"), Is.EqualTo("MIT"));
            Assert.That(Value("readme"), Is.EqualTo("README.md"));
            Assert.That(Value("icon"), Is.EqualTo("icon.png"));
            Assert.That(Value("description"), Has.Length.GreaterThan(40));
            Assert.That(Value("tags"), Does.Contain("sparkfly"));
            Assert.That(XDocument.Load(package.GetEntry($"lib/net10.0/{id}.xml")!.Open()).Descendants("member").Count(), Is.GreaterThan(1));
            Assert.That(head[1..4], Is.EqualTo("PNG"u8.ToArray()));
            Assert.That(BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(16)), Is.EqualTo(128), "the width that NuGet recommends");
            Assert.That(BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(20)), Is.EqualTo(128), "the height");
        }

        string? Value(string name) => metadata.Elements().SingleOrDefault(e => e.Name.LocalName == name)?.Value;
    }

    [TestCaseSource(nameof(Ids))]
    public async Task A_package_has_its_symbols_beside_it(string id)
    {
        using ZipArchive symbols = await PackedPackages.OpenAsync(id, "snupkg");

        Assert.That(symbols.Entries.Select(static e => e.FullName), Does.Contain($"lib/net10.0/{id}.pdb"));
    }

    /// <summary>Its dependencies are the first releases of their line, so that an application is never made to move.</summary>
    [TestCaseSource(nameof(Ids))]
    public async Task A_package_stands_on_the_platform_s_first_10_0_and_on_nothing_else(string id)
    {
        using ZipArchive package = await PackedPackages.OpenAsync(id, "nupkg");
        string[] others = [.. Dependencies(package, id).Except(PackedPackages.Ids.Select(static i => $"{i} {PackedPackages.Version}"))
            .Where(static d => !d.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal) || !d.EndsWith(" 10.0.0", StringComparison.Ordinal))];

        Assert.That(others, Is.Empty);
    }

    [Test]
    public async Task The_handler_s_package_has_the_dependencies_that_the_decisions_list()
    {
        using ZipArchive package = await PackedPackages.OpenAsync("Sparkfly.Auth.Handler", "nupkg");

        Assert.That(Dependencies(package, "Sparkfly.Auth.Handler"), Is.EquivalentTo(s_dependencies));
    }

    /// <summary>An application that installs the packages from a feed, and is README.md's code and settings.</summary>
    [Test]
    public async Task An_application_that_installs_the_packages_builds_without_a_warning_and_calls_Sparkfly()
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        string folder = await PackedPackages.NewFolderAsync("Application");
        string project = Path.Combine(folder, "Application.csproj");
        string[] code = [.. Markdown.Blocks("README.md", "csharp").Select(static b => b.Text)];
        await File.WriteAllTextAsync(project, $"""
            <Project Sdk="Microsoft.NET.Sdk.Web">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
              <ItemGroup>
                {string.Concat(Ids.Select(static id => $"""<PackageReference Include="{id}" Version="{PackedPackages.Version}" />"""))}
              </ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(Path.Combine(folder, "appsettings.json"), Markdown.Blocks("README.md", "json").First().Text);
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), $$"""
            var builder = WebApplication.CreateBuilder(args);
            {{code[0]}}
            await using WebApplication app = builder.Build();
            await app.StartAsync();
            using HttpResponseMessage response = await app.Services.GetRequiredService<OffersClient>().GetOffersAsync();
            Console.WriteLine($"answered {response.StatusCode}");
            {{code[1]}}
            """);

        await PackedPackages.DotNetAsync("build", project, "--output", Path.Combine(folder, "out"));
        using JsonDocument items = JsonDocument.Parse(await PackedPackages.DotNetAsync("msbuild", project, "-getItem:JsonSchemaSegment"));
        await using Subprocess application = Subprocess.DotNet(
            [Path.Combine(folder, "out", "Application.dll")],
            ("ASPNETCORE_CONTENTROOT", folder),
            ("ASPNETCORE_URLS", "http://127.0.0.1:0"),
            ("Sparkfly__BaseAddress", server.BaseAddress.AbsoluteUri),
            ("Sparkfly__Identity", server.Options.Identity),
            ("Sparkfly__Key", server.Options.Key));

        Assert.That(await application.ReadUntilAsync("answered OK"), () => application.Errors);
        Assert.That(await application.EndAsync(), Is.Zero, () => application.Errors);
        Assert.That(server.TokenRequests, Is.EqualTo(1));
        Assert.That(server.ApiRequests, Is.EqualTo(1));
        JsonElement schema = items.RootElement.GetProperty("Items").GetProperty("JsonSchemaSegment").EnumerateArray().Single();
        Assert.That(schema.GetProperty("FilePathPattern").GetString(), Is.EqualTo(@"appsettings\..*json"));
        Assert.That(schema.GetProperty("FullPath").GetString(), Does.Exist.And.EndsWith("ConfigurationSchema.json"));
    }

    private static XElement Metadata(ZipArchive package, string id) =>
        XDocument.Load(package.GetEntry($"{id}.nuspec")!.Open()).Root!.Elements().Single(static e => e.Name.LocalName == "metadata");

    private static IEnumerable<string> Dependencies(ZipArchive package, string id) => Metadata(package, id).Descendants()
        .Where(static e => e.Name.LocalName == "dependency")
        .Select(static e => $"{e.Attribute("id")!.Value} {e.Attribute("version")!.Value}");
}
