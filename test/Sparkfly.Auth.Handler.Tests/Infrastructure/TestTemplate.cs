namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A template of test projects: its <paramref name="Name"/> for <c>dotnet new</c>, and what its tests are known by.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Namespace">The framework's namespace, which the usings of a block name.</param>
/// <param name="Attribute">What each test of a block begins with.</param>
internal sealed record TestTemplate(string Name, string Namespace, string Attribute)
{
    // What "dotnet new xunit3" makes; its template is in a package of its own, which no machine has by itself.
    private const string Xunit3 = """
        <Project Sdk="Microsoft.NET.Sdk">

          <PropertyGroup>
            <ImplicitUsings>enable</ImplicitUsings>
            <Nullable>enable</Nullable>
            <OutputType>Exe</OutputType>
            <TargetFramework>net10.0</TargetFramework>
          </PropertyGroup>

          <ItemGroup>
            <Using Include="Xunit" />
          </ItemGroup>

          <ItemGroup>
            <PackageReference Include="Microsoft.NET.Test.Sdk" Version="17.14.1" />
            <PackageReference Include="xunit.v3" Version="3.2.2" />
            <PackageReference Include="xunit.runner.visualstudio" Version="3.1.5" />
          </ItemGroup>

        </Project>
        """;

    public static TestTemplate[] All { get; } =
    [
        new("nunit", "NUnit.Framework", "[Test"),
        new("xunit3", "Xunit", "[Fact]"),
        new("mstest", "Microsoft.VisualStudio.TestTools.UnitTesting", "[TestMethod]"),
    ];

    /// <summary>The project's name. Not the template's, which is the id of a package that the project installs.</summary>
    public string Project => $"OffersApi.Tests.{Name}";

    /// <summary>The template of the project that a block is a file of; null where the block is no test.</summary>
    public static TestTemplate? Of(CodeBlock block) =>
        All.SingleOrDefault(t => block.Text.Contains($"using {t.Namespace};", StringComparison.Ordinal));

    /// <summary>How many tests its blocks have, each case counted.</summary>
    public int Count(IEnumerable<CodeBlock> blocks) => blocks.SelectMany(static b => b.Text.Split('\n'))
        .Count(l => l.Trim().StartsWith(Attribute, StringComparison.Ordinal));

    /// <summary>Makes a project of it whose only files are these blocks.</summary>
    /// <returns>The project's file.</returns>
    public async Task<string> MakeAsync(string folder, IEnumerable<CodeBlock> blocks, string references)
    {
        string project = Path.Combine(folder, $"{Project}.csproj");
        if (Name == "xunit3")
        {
            Directory.CreateDirectory(folder);
            await File.WriteAllTextAsync(project, Xunit3);
        }
        else
        {
            await PackedPackages.DotNetAsync("new", Name, "--name", Project, "--output", folder, "--no-restore");
            File.Delete(Path.Combine(folder, Name == "nunit" ? "UnitTest1.cs" : "Test1.cs"));
        }

        // What "dotnet add reference" and "dotnet add package" write.
        string text = await File.ReadAllTextAsync(project);
        await File.WriteAllTextAsync(project, text.Replace("</Project>", $"<ItemGroup>{references}</ItemGroup></Project>", StringComparison.Ordinal));
        foreach (CodeBlock block in blocks)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, $"Line{block.Line}.cs"), block.Text);
        }

        return project;
    }
}
