using System.Globalization;
using System.Text;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 5.3 and 6.6: what counts as a secret in the error text of a response.</summary>
public class SecretTextTests
{
    private const string SixtyFourDigits = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";

    // Its base64 has the two digits that an address writes otherwise.
    private const string Odd = "ab-~?~>-<~-yo|";

    [TestCase("12345678", "x12345678y", true)]
    [TestCase("secret-0123", "no SECRET-0 here", true, Description = "the first eight characters, in other letters")]
    [TestCase("secret-0123", "no ret-0123 here", true, Description = "the last eight")]
    [TestCase("secret-0123", "no et-0123 here", false, Description = "the last seven")]
    [TestCase("secret-0123", "no secret- here", false, Description = "the first seven")]
    public void A_secret_is_found_by_any_eight_of_its_characters(string secret, string text, bool isFound) =>
        Assert.That(SecretText.IsAnyIn(text, [secret]), Is.EqualTo(isFound));

    [TestCase("1234567", true)]
    [TestCase("1234567!", true)]
    [TestCase("(1234567", true, TestName = "{m}(a bracket before)")]
    [TestCase("x1234567", false)]
    [TestCase("1234567x", false)]
    [TestCase("x1234567 1234567", true)]
    [TestCase("1234567x x1234567", false)]
    [TestCase("123456", false)]
    public void A_secret_of_less_than_eight_characters_is_found_as_a_word(string text, bool isFound) =>
        Assert.That(SecretText.IsAnyIn(text, ["1234567"]), Is.EqualTo(isFound));

    [TestCase("token " + SixtyFourDigits + ".", true)]
    [TestCase("x" + SixtyFourDigits + "0", true)]
    [TestCase("0123456789abcdefABCDEF0123456789-abcdef0123456789abcdef0123456789", false)]
    [TestCase("123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789", false)]
    public void Sixty_four_hex_digits_are_taken_for_a_token(string text, bool isFound) =>
        Assert.That(SecretText.IsAnyIn(text, ["another-secret"]), Is.EqualTo(isFound));

    [Test]
    public void Each_of_several_secrets_is_found() =>
        Assert.That(SecretText.IsAnyIn("the key of account 17", ["another-secret", "17"]), Is.True);

    [TestCase("key 61622D7E3F7E3E2D3C7E2D796F7C")]
    [TestCase("key 61622d7e3f7e3e2d3c7e2d796f7c")]
    [TestCase("the first half is 61622d7e3f7e3e2d", Description = "sixteen digits of it")]
    [TestCase("ab%2D%7E%3F%7E%3E%2D%3C%7E%2Dyo%7C")]
    [TestCase("ab-~?~&gt;-&lt;~-yo|")]
    [TestCase(@"ab-~?~\u003e-\U003c~-yo|")]
    [TestCase("ab%252D%257E%253F%257E%253E%252D%253C%257E%252Dyo%257C", Description = "encoded twice")]
    [TestCase("ab%25252D%25257E%25253F%25257E%25253E%25252D%25253C%25257E%25252Dyo%25257C", Description = "three times")]
    [TestCase("%36%31622d7e3f7e3e2d3c7e2d796f7c", Description = "hex digits in percent signs")]
    public void An_encoded_secret_is_found(string text) => Assert.That(SecretText.IsAnyIn(text, [Odd]), Is.True);

    [Test]
    public void A_secret_in_base64_is_found_at_each_place([Range(0, 5)] int before, [Values(0, 1, 2)] int after, [Values] bool isForUrls)
    {
        string encoded = Convert.ToBase64String(Encoding.UTF8.GetBytes(new string('#', before) + Odd + new string('#', after)));
        string text = isForUrls ? encoded.Replace('+', '-').Replace('/', '_').TrimEnd('=') : encoded;

        Assert.That(SecretText.IsAnyIn($"no {text} here", [Odd]), Is.True, text);
    }

    [TestCase("the first digits are 61622d7e3f7e3e2")]
    [TestCase("ab%2525252D%2525257E%2525253F%2525257E%2525253E%2525252D%2525253C%2525257E%2525252Dyo%2525257C", Description = "encoded four times")]
    [TestCase(@"%GG &nothing; \u00g1 \u003", Description = "encodings that are none")]
    public void Another_text_is_not_found(string text) => Assert.That(SecretText.IsAnyIn(text, [Odd]), Is.False);

    [Test]
    public void A_secret_of_eight_characters_is_found_in_base64_as_a_whole()
    {
        Assert.That(SecretText.IsAnyIn("Basic MTIzNDU2Nzg=", ["12345678"]), Is.True);
        Assert.That(SecretText.IsAnyIn("Basic MTIzNDU3Nzg=", ["12345678"]), Is.False);
    }

    [Test]
    [CancelAfter(30_000)]
    public void A_secret_of_many_characters_is_looked_for_in_a_long_text()
    {
        string secret = string.Concat(Enumerable.Range(0, 4096).Select(static i => i.ToString("x4", CultureInfo.InvariantCulture)));
        string text = string.Concat(Enumerable.Repeat("wrong-", 11_000));

        Assert.That(SecretText.IsAnyIn(text, [secret]), Is.False);
        Assert.That(SecretText.IsAnyIn(text + secret[100..108], [secret]), Is.True);
    }
}
