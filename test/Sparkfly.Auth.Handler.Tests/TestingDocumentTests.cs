namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The code of docs/testing.md is that of tests, which run.</summary>
public class TestingDocumentTests
{
    [Test]
    public void Every_code_block_of_the_page_is_a_test_file()
    {
        string[] blocks = [.. CodeBlocks(Document.Lines("docs/testing.md"))];
        string[] files = [.. Directory.GetFiles(Path.Combine(Document.Root, "test/Sparkfly.Auth.Handler.Tests/Guides/Testing"))
            .Select(static file => File.ReadAllText(file).Trim())];

        Assert.That(blocks, Is.EquivalentTo(files));
    }

    private static IEnumerable<string> CodeBlocks(string[] lines)
    {
        for (int start = 0; (start = Array.IndexOf(lines, "```csharp", start)) >= 0; start++)
        {
            yield return string.Join('\n', lines[(start + 1)..Array.IndexOf(lines, "```", start)]);
        }
    }
}
