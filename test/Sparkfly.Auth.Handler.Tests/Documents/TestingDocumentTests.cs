namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The code of docs/testing.md is that of tests, which run.</summary>
public class TestingDocumentTests
{
    [Test]
    public void Every_code_block_of_the_page_is_a_test_file()
    {
        string[] blocks = [.. Markdown.Blocks("docs/testing.md", "csharp").Select(static block => block.Text)];
        string[] files = [.. Directory.GetFiles(Path.Combine(Document.Root, "test/Sparkfly.Auth.Handler.Tests/Guides/Testing"))
            .Select(static file => File.ReadAllText(file).Trim())];

        Assert.That(blocks, Is.EquivalentTo(files));
    }
}
