namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 5.3 and 6.6: what counts as a secret in the error text of a response.</summary>
public class SecretTextTests
{
    private const string SixtyFourDigits = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";

    [TestCase("12345678", "x12345678y", true)]
    [TestCase("secret-0123", "no SECRET-0 here", true, Description = "the first eight characters, in other letters")]
    [TestCase("secret-0123", "no ret-0123 here", true, Description = "the last eight")]
    [TestCase("secret-0123", "no et-0123 here", false, Description = "the last seven")]
    [TestCase("secret-0123", "no secret- here", false, Description = "the first seven")]
    public void A_secret_is_found_by_any_eight_of_its_characters(string secret, string text, bool isFound) =>
        Assert.That(SecretText.IsAnyIn(text, [secret]), Is.EqualTo(isFound));

    [TestCase("1234567", true)]
    [TestCase("1234567!", true)]
    [TestCase("(1234567", true)]
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
}
