using System.Globalization;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Compiles the C# of the pages, against what the tests reference; docs/contributing.md says what a block may take for granted.</summary>
/// <remarks>
/// A block is a file of an application: a Program.cs, or types, or else members of a class. A Program.cs that is only a part of one finds the
/// names below, and declares its own where it likes.
/// </remarks>
internal static class PageCompiler
{
    /// <summary>The implicit usings of a web application, the package's namespace, and what a part of a Program.cs is a part of.</summary>
    private const string Given = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Net.Http.Json;
        global using System.Threading;
        global using System.Threading.Tasks;
        global using Microsoft.AspNetCore.Builder;
        global using Microsoft.AspNetCore.Hosting;
        global using Microsoft.AspNetCore.Http;
        global using Microsoft.AspNetCore.Routing;
        global using Microsoft.Extensions.Configuration;
        global using Microsoft.Extensions.DependencyInjection;
        global using Microsoft.Extensions.Hosting;
        global using Microsoft.Extensions.Logging;
        global using Sparkfly.Auth.Handler;
        global using static Given;

        public static class Given
        {
            public static WebApplicationBuilder builder { get; set; } = null!;
            public static IServiceCollection services => builder.Services;
            public static WebApplication app => null!;
            public static IHttpClientBuilder client => null!;
            public static HttpClient http => null!;
        }
        """;

    private static readonly CSharpParseOptions s_parsing = new(LanguageVersion.Latest);

    // Assembly versions that differ, what a part of a program declares for its readers alone, and a Program beside that of a sample.
    private static readonly string[] s_unheeded = ["CS1701", "CS1702", "CS0168", "CS0219", "CS8321", "CS0436"];

    private static readonly MetadataReference[] s_references = [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
        .Split(Path.PathSeparator)
        .Where(static p => Path.GetFileName(p) != "Sparkfly.Auth.Handler.Tests.dll")
        .Select(static p => MetadataReference.CreateFromFile(p))];

    /// <summary>What the compiler objects to, warnings included: page, line, message.</summary>
    /// <param name="block">The block.</param>
    /// <param name="others">The blocks whose types it may use, the first one's before the second one's.</param>
    public static string[] Problems(CodeBlock block, IEnumerable<CodeBlock> others) => [.. Compile(block, others).GetDiagnostics()
        .Where(static d => d.Severity >= DiagnosticSeverity.Warning && !s_unheeded.Contains(d.Id))
        .Select(Describe)];

    /// <summary>Runs a block, as a part of a Program.cs that has made this builder; the assembly that it is compiled to.</summary>
    public static Assembly Run(CodeBlock block, IEnumerable<CodeBlock> others, WebApplicationBuilder builder)
    {
        using var image = new MemoryStream();
        Microsoft.CodeAnalysis.Emit.EmitResult result = Compile(block, others).Emit(image);
        Assert.That(result.Success, () => string.Join('\n', result.Diagnostics.Select(Describe)));
        Assembly assembly = Assembly.Load(image.ToArray());
        assembly.GetType("Given")!.GetProperty("builder")!.SetValue(null, builder);
        assembly.EntryPoint!.Invoke(null, [Array.Empty<string>()]);
        return assembly;
    }

    /// <summary>Whether it has statements, and is a Program.cs or a part of one.</summary>
    public static bool IsProgram(CodeBlock block) => IsProgram(Parse(block));

    private static CSharpCompilation Compile(CodeBlock block, IEnumerable<CodeBlock> others)
    {
        SyntaxTree own = Parse(block);
        var known = Types(own).Select(Name).ToHashSet();
        List<SyntaxTree> trees = [CSharpSyntaxTree.ParseText(Given, s_parsing), own];
        foreach (CodeBlock other in others)
        {
            SyntaxTree tree = Parse(other);
            string usings = string.Concat(tree.GetCompilationUnitRoot().Usings.Select(static u => u.ToFullString()));
            foreach (BaseTypeDeclarationSyntax type in Types(tree).Where(t => known.Add(Name(t))))
            {
                int line = type.GetLocation().GetMappedLineSpan().StartLinePosition.Line + 1;
                trees.Add(CSharpSyntaxTree.ParseText($"{usings}\n#line {line} \"{other.Page}\"\n{type}", s_parsing));
            }
        }

        OutputKind kind = IsProgram(own) ? OutputKind.ConsoleApplication : OutputKind.DynamicallyLinkedLibrary;
        var options = new CSharpCompilationOptions(kind, nullableContextOptions: NullableContextOptions.Enable);
        return CSharpCompilation.Create($"Page{Guid.NewGuid():N}", trees, s_references, options);
    }

    private static bool IsProgram(SyntaxTree tree) => tree.GetCompilationUnitRoot().Members.Any(static m => m is GlobalStatementSyntax);

    private static SyntaxTree Parse(CodeBlock block)
    {
        SyntaxTree tree = Parse(block, block.Text);
        CompilationUnitSyntax root = tree.GetCompilationUnitRoot();
        if (!root.Members.Any(IsMember))
        {
            return tree;
        }

        // Members of a class that the page does not show; its usings stay where they are.
        int start = root.Usings.LastOrDefault()?.FullSpan.End ?? root.Members[0].FullSpan.Start;
        string text = root.SyntaxTree.ToString();
        int line = root.SyntaxTree.GetMappedLineSpan(new Microsoft.CodeAnalysis.Text.TextSpan(start, 0)).StartLinePosition.Line + 1;
        return CSharpSyntaxTree.ParseText($"{text[..start]}\npublic class Members\n{{\n#line {line} \"{block.Page}\"\n{text[start..]}\n}}", s_parsing);
    }

    private static SyntaxTree Parse(CodeBlock block, string text) =>
        CSharpSyntaxTree.ParseText($"#line {block.Line} \"{block.Page}\"\n{text}", s_parsing);

    // A method with attributes or modifiers is no function of a Program.cs.
    private static bool IsMember(MemberDeclarationSyntax member) =>
        member is BaseMethodDeclarationSyntax or BasePropertyDeclarationSyntax or BaseFieldDeclarationSyntax ||
        (member is GlobalStatementSyntax { Statement: LocalFunctionStatementSyntax function } &&
            (function.AttributeLists.Count > 0 ||
                !function.Modifiers.All(static m => m.IsKind(SyntaxKind.StaticKeyword) || m.IsKind(SyntaxKind.AsyncKeyword))));

    private static IEnumerable<BaseTypeDeclarationSyntax> Types(SyntaxTree tree) =>
        tree.GetCompilationUnitRoot().Members.OfType<BaseTypeDeclarationSyntax>();

    private static string Name(BaseTypeDeclarationSyntax type) => type.Identifier.Text;

    private static string Describe(Diagnostic problem)
    {
        FileLinePositionSpan place = problem.Location.GetMappedLineSpan();
        return $"{place.Path}:{place.StartLinePosition.Line + 1}: {problem.Id}: {problem.GetMessage(CultureInfo.InvariantCulture)}";
    }
}
