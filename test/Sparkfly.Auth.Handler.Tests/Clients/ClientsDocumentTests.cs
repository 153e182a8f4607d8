namespace Sparkfly.Auth.Handler.Tests;

/// <summary>docs/clients.md shows what the tests of these clients run.</summary>
public class ClientsDocumentTests
{
    [TestCase("RefitTests.cs", "refit-interface")]
    [TestCase("RefitTests.cs", "refit")]
    [TestCase("RefitTests.cs", "refit-exceptions")]
    [TestCase("KiotaTests.cs", "kiota")]
    [TestCase("KiotaTests.cs", "kiota-account")]
    [TestCase("NSwagTests.cs", "nswag")]
    public void The_page_shows_the_code_that_is_tested(string file, string name)
    {
        string snippet = Document.Snippet($"test/Sparkfly.Auth.Handler.Tests/Clients/{file}", name);

        Assert.That(snippet, Is.Not.Empty);
        Assert.That(string.Join('\n', Document.Lines("docs/clients.md")), Does.Contain($"\n{snippet}\n"));
    }
}
