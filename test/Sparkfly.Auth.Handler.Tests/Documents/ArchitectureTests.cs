using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Each folder of the package has one job, and a folder refers to those below it only.</summary>
public class ArchitectureTests
{
    /// <summary>From the top down, as <c>docs/contributing.md</c> shows them. The public types at the root may be used everywhere.</summary>
    private static readonly string[] s_rooms =
        ["DependencyInjection", "Hosting", "Handler", "Accounts", "Tokens", "Fleet", "Auth", "Settings", "Diagnostics", "Threading", "Wire"];

    private static readonly string s_package = Path.Combine(Document.Root, "src", "Sparkfly.Auth.Handler");

    private static readonly SyntaxTree[] s_sources =
    [
        .. Directory.EnumerateFiles(s_package, "*.cs", SearchOption.AllDirectories)
            .Where(static f => !Path.GetRelativePath(s_package, f).Split(Path.DirectorySeparatorChar).Any(static part => part is "bin" or "obj"))
            .Select(static f => CSharpSyntaxTree.ParseText(File.ReadAllText(f), path: f)),
    ];

    [Test]
    public void A_folder_refers_to_types_of_the_folders_below_it_only()
    {
        Dictionary<string, string> roomOf = s_sources
            .SelectMany(static t => Declared(t).Select(name => (Name: name, Room: Room(t))))
            .DistinctBy(static d => d.Name)
            .ToDictionary(static d => d.Name, static d => d.Room);

        string[] upwards =
        [
            .. from tree in s_sources
               let room = Room(tree)
               where room.Length > 0
               from identifier in tree.GetRoot().DescendantNodes().OfType<IdentifierNameSyntax>().Select(static i => i.Identifier.ValueText).Distinct()
               where roomOf.TryGetValue(identifier, out string? used) && used.Length > 0 && Array.IndexOf(s_rooms, used) < Array.IndexOf(s_rooms, room)
               select $"{room}/{Path.GetFileName(tree.FilePath)} refers to {roomOf[identifier]}/{identifier}",
        ];

        Assert.That(roomOf, Has.Count.GreaterThan(50), "or the sources were not found");
        Assert.That(upwards, Is.Empty);
    }

    [Test]
    public void Every_folder_is_in_the_order()
    {
        Assert.That(s_sources.Select(Room).Where(static r => r.Length > 0).Distinct(), Is.EquivalentTo(s_rooms));
    }

    [Test]
    public void The_root_has_the_public_types_and_nothing_else()
    {
        IEnumerable<string> hidden =
            from tree in s_sources
            where Room(tree).Length == 0
            from type in tree.GetRoot().ChildNodes().OfType<BaseNamespaceDeclarationSyntax>().SelectMany(static n => n.Members).OfType<BaseTypeDeclarationSyntax>()
            where !type.Modifiers.Any(SyntaxKind.PublicKeyword)
            select type.Identifier.ValueText;

        Assert.That(hidden, Is.Empty);
    }

    private static IEnumerable<string> Declared(SyntaxTree tree) => tree.GetRoot().ChildNodes().OfType<BaseNamespaceDeclarationSyntax>()
        .SelectMany(static n => n.Members).OfType<BaseTypeDeclarationSyntax>().Select(static t => t.Identifier.ValueText);

    private static string Room(SyntaxTree tree) => Path.GetDirectoryName(Path.GetRelativePath(s_package, tree.FilePath))!;
}
