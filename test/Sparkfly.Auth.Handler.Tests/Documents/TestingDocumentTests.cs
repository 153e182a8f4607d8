using System.Reflection;
using System.Text.RegularExpressions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/testing.md: its code runs as it stands on the page, and its table says of the fake what tests hold.</summary>
public partial class TestingDocumentTests
{
    private const string Page = "docs/testing.md";

    private static CodeBlock[] Blocks => [.. Markdown.Blocks(Page, "csharp")];

    [Test]
    public void Every_code_block_for_NUnit_is_a_test_file()
    {
        string[] blocks = [.. Blocks.Where(static b => TestTemplate.Of(b)?.Name == "nunit").Select(static b => b.Text)];
        string[] files = [.. Directory.GetFiles(Path.Combine(Document.Root, "test/Sparkfly.Auth.Handler.Tests/Guides/Testing"))
            .Select(static file => File.ReadAllText(file).Trim())];

        Assert.That(blocks, Is.EquivalentTo(files));
    }

    [Test]
    public void Every_code_block_is_a_file_of_one_test_framework_and_each_has_some()
    {
        Assert.That(Blocks.Select(TestTemplate.Of), Has.None.Null);
        Assert.That(Blocks.Select(TestTemplate.Of).Distinct(), Is.EquivalentTo(TestTemplate.All));
    }

    [Test]
    public void Every_row_of_the_comparison_is_held_by_a_test_that_it_names()
    {
        string[] rows = [.. Document.Lines(Page).SkipWhile(static l => l != "## Compared with general fakes").Where(static l => l.StartsWith('|')).Skip(2)];
        HashSet<string> tests = [.. GetType().Assembly.GetTypes().SelectMany(static t => t.GetMethods()
            .Where(static m => m.GetCustomAttributes().Any(static a => a is TestAttribute or TestCaseAttribute))
            .Select(m => $"{t.Name}.{m.Name}"))];

        Assert.That(rows, Has.Length.GreaterThan(20));
        Assert.That(rows.Where(r => !tests.Contains(TestName().Match(r).Groups[1].Value)), Is.Empty);
    }

    /// <summary>The application and the packages of the page, and a project of each template, built and tested by one command.</summary>
    [Test]
    [Category("Long")]
    public async Task Every_code_block_passes_as_it_stands_on_the_page_in_a_project_made_from_the_template()
    {
        string folder = await PackedPackages.NewFolderAsync("Testing");
        string application = await CopyApplicationAsync(Path.Combine(folder, "OffersApi"));
        string references = $"""
            <ProjectReference Include="{application}" />
            <PackageReference Include="Sparkfly.Auth.Handler.Testing" Version="{PackedPackages.Version}" />
            <PackageReference Include="Microsoft.AspNetCore.Mvc.Testing" Version="10.0.0" />
            <PackageReference Include="Microsoft.Extensions.TimeProvider.Testing" Version="10.11.0" />
            """;
        ILookup<TestTemplate, CodeBlock> blocks = Blocks.ToLookup(static b => TestTemplate.Of(b)!);
        string[] projects = await Task.WhenAll(blocks.Select(b => b.Key.MakeAsync(Path.Combine(folder, b.Key.Name), b, references)));
        string solution = Path.Combine(folder, "Testing.slnx");
        await File.WriteAllTextAsync(
            solution, $"<Solution>{string.Concat(projects.Prepend(application).Select(static p => $"""<Project Path="{p}" />"""))}</Solution>");

        string output = await PackedPackages.DotNetAsync("test", solution);

        using (Assert.EnterMultipleScope())
        {
            foreach (IGrouping<TestTemplate, CodeBlock> group in blocks)
            {
                Assert.That(output, Does.Match($@"Passed!.* Passed: +{group.Key.Count(group)},.* {Regex.Escape(group.Key.Project)}\.dll"));
            }

            Assert.That(output, Does.Not.Contain("warning"));
        }
    }

    private static async Task<string> CopyApplicationAsync(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(Path.Combine(Document.Root, "docs/samples/OffersApi"), "*.cs"))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }

        string project = Path.Combine(folder, "OffersApi.csproj");
        await File.WriteAllTextAsync(project, $"""
            <Project Sdk="Microsoft.NET.Sdk.Web">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Sparkfly.Auth.Handler" Version="{PackedPackages.Version}" />
              </ItemGroup>
            </Project>
            """);
        return project;
    }

    [GeneratedRegex(@"yes: `(\w+\.\w+)` \|$")]
    private static partial Regex TestName();
}
