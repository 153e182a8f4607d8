using System.Reflection;
using System.Text.RegularExpressions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/security.md names a test for each promise of section 6.</summary>
public partial class SecurityDocumentTests
{
    [Test]
    public void Every_test_that_the_page_names_exists()
    {
        string[] named = [.. TestName().Matches(string.Join('\n', Document.Lines("docs/security.md"))).Select(static m => m.Groups[1].Value).Distinct()];
        string[] existing = [.. typeof(SecurityDocumentTests).Assembly.GetTypes()
            .SelectMany(static type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
            .Where(IsTest)
            .Select(static method => $"{method.DeclaringType!.Name}.{method.Name}")];

        Assert.That(named, Has.Length.GreaterThan(20), "or the page is not read well");
        Assert.That(named.Except(existing), Is.Empty);
    }

    private static bool IsTest(MethodInfo method) => method.GetCustomAttributes().Any(
        static a => a is TestAttribute or TestCaseAttribute or TestCaseSourceAttribute or OneTimeTearDownAttribute);

    [GeneratedRegex(@"`(\w+(?:Tests|Sweep)\.\w+)`")]
    private static partial Regex TestName();
}
