using System.Reflection;
using System.Text.RegularExpressions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/compatibility.md names the test of each row, and leaves none out.</summary>
public partial class CompatibilityDocumentTests
{
    [Test]
    public void Every_row_of_the_page_names_its_test_and_every_test_has_a_row()
    {
        string[] named = [.. TestName().Matches(string.Join('\n', Document.Lines("docs/compatibility.md"))).Select(static m => m.Groups[1].Value)];
        string[] existing = [.. typeof(CompatibilityDocumentTests).Assembly.GetTypes()
            .SelectMany(static t => t.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
            .Where(static m => m.DeclaringType != typeof(CompatibilityDocumentTests) && m.GetCustomAttribute<TestAttribute>() is not null)
            .Select(static m => $"{m.DeclaringType!.Name}.{m.Name}")];

        Assert.That(named, Is.EquivalentTo(existing));
    }

    [GeneratedRegex(@"`(\w+Tests\.\w+)` \|$", RegexOptions.Multiline)]
    private static partial Regex TestName();
}
