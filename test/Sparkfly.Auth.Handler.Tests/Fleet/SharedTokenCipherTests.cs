using System.Security.Cryptography;
using System.Text;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 7.2: what is stored is encrypted, authenticated, bound to its account, and tells nothing.</summary>
public class SharedTokenCipherTests
{
    private static readonly SharedToken s_token = new(
        SecretSweep.NewSecret("token"), new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2026, 1, 1, 0, 0, 7, TimeSpan.Zero));

    private static readonly Dictionary<string, Action<SparkflyAuthOptions>> s_parts = new()
    {
        ["auth endpoint"] = static o => o.AuthEndpoint = new Uri("https://sparkfly.test/elsewhere"),
        ["identity"] = static o => o.Identity += "1",
        ["key"] = static o => o.Key += "1",
        ["scope"] = static o => o.Scope = "offers",
        ["forwarded-for"] = static o => o.ForwardedFor = "203.0.113.7",
    };

    private readonly string _identity = SecretSweep.NewSecret("identity");
    private readonly string _key = SecretSweep.NewSecret("key");

    private static IEnumerable<string> Parts => s_parts.Keys;

    [Test]
    public void An_instance_with_the_same_account_reads_what_another_has_written([Values] bool isForced)
    {
        SharedToken token = isForced ? s_token : s_token with { ForcedAt = null };

        Assert.That(Cipher().Decrypt(Cipher().Encrypt(token)), Is.EqualTo(token));
    }

    /// <summary>Versions of the package that run side by side must read one another's entries.</summary>
    [Test]
    public void The_key_is_derived_from_the_accounts_and_all_that_identifies_the_account_is_bound_to_the_entry()
    {
        byte[] account = Encoding.UTF8.GetBytes($"Sparkfly.Auth.Handler/1\nhttps://sparkfly.test/v1.0/auth\n{_identity}\n\n");
        byte[] key = HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(_key), 32, salt: [], info: [.. "encryption\n"u8, .. account]);
        byte[] entry = Cipher().Encrypt(s_token);
        byte[] plaintext = new byte[entry.Length - 1 - 12 - 16];

        using var aes = new AesGcm(key, tagSizeInBytes: 16);
        aes.Decrypt(entry.AsSpan(1, 12), entry.AsSpan(13, plaintext.Length), entry.AsSpan()[^16..], plaintext, [1, .. account]);

        Assert.That(Encoding.UTF8.GetString(plaintext.AsSpan(16)), Is.EqualTo(s_token.Value));
    }

    /// <summary>A fleet may run on several versions of .NET. The constants were computed with another language's libraries.</summary>
    [Test]
    public void The_cache_keys_and_the_entry_are_the_same_on_every_runtime()
    {
        SharedTokenCipher cipher = Cipher(static o => (o.Identity, o.Key, o.Scope, o.ForwardedFor) = ("account-1", "key-1", "offers", "203.0.113.7"));
        byte[] entry = Convert.FromBase64String("AQABAgMEBQYHCAkKC8EZArPyemUQD5uBardRL4WxgI9J2x7VZzmGB15TGCbFIPJf+KSmVg==");

        Assert.That(cipher.CacheKey, Is.EqualTo("sparkfly-auth:50f490486d931fb46edb71bc1b83783d4469780b8b27bf903e7134582cbfa537"));
        Assert.That(cipher.LeaseKey, Is.EqualTo("sparkfly-auth:50f490486d931fb46edb71bc1b83783d4469780b8b27bf903e7134582cbfa537:lease"));
        Assert.That(cipher.AccountDigest, Is.EqualTo("Sparkfly.Auth.Handler/EBE141E5D3A14929B3CD96D098A69B7536D34D70FA04BAD447FB0CC254DF2067"));
        Assert.That(cipher.Decrypt(entry), Is.EqualTo(new SharedToken("token-1", new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), null)));
    }

    [Test]
    public void No_flipped_bit_is_accepted()
    {
        SharedTokenCipher cipher = Cipher();
        byte[] entry = cipher.Encrypt(s_token);
        var accepted = new List<int>();
        for (int bit = 0; bit < entry.Length * 8; bit++)
        {
            byte[] changed = [.. entry];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            if (cipher.Decrypt(changed) is not null)
            {
                accepted.Add(bit);
            }
        }

        Assert.That(accepted, Is.Empty, $"bits of {entry.Length * 8}");
    }

    [Test]
    public void No_cut_and_no_longer_entry_is_accepted()
    {
        SharedTokenCipher cipher = Cipher();
        byte[] entry = cipher.Encrypt(s_token);

        Assert.That(Enumerable.Range(0, entry.Length).Where(length => cipher.Decrypt(entry.AsSpan(0, length)) is not null), Is.Empty, "cut at the end");
        Assert.That(Enumerable.Range(1, entry.Length).Where(start => cipher.Decrypt(entry.AsSpan(start)) is not null), Is.Empty, "cut at the beginning");
        Assert.That(
            Enumerable.Range(1, 100).Where(more => cipher.Decrypt([.. entry, .. new byte[more]]) is not null), Is.Empty, "bytes more at the end");
        Assert.That(cipher.Decrypt([.. entry, .. entry]), Is.Null, "twice the entry");
    }

    [Test]
    public void No_junk_is_accepted_nor_throws()
    {
        SharedTokenCipher cipher = Cipher();
        var random = new Random(17);
        for (int i = 0; i < 5000; i++)
        {
            byte[] junk = new byte[random.Next(0, 200)];
            random.NextBytes(junk);
            if (i % 2 == 0 && junk.Length > 0)
            {
                junk[0] = 1;
            }

            Assert.That(cipher.Decrypt(junk), Is.Null, $"junk {i} of {junk.Length} bytes");
        }

        Assert.That(cipher.Decrypt([1, .. new byte[1024 * 1024]]), Is.Null, "a megabyte");
    }

    [TestCase(16339, true)]
    [TestCase(16340, false)]
    public void A_token_is_shared_whose_entry_has_16_KiB_at_most(int length, bool isShared)
    {
        SharedToken token = s_token with { Value = new string('x', length) };

        Assert.That(SharedTokenCipher.Fits(token.Value), Is.EqualTo(isShared), "written");
        Assert.That(Cipher().Decrypt(Cipher().Encrypt(token)), isShared ? Is.EqualTo(token) : Is.Null, "read");
    }

    [Test]
    public void No_other_version_is_accepted()
    {
        SharedTokenCipher cipher = Cipher();
        byte[] entry = cipher.Encrypt(s_token);

        Assert.That(entry[0], Is.EqualTo(1), "the version");
        Assert.That(Enumerable.Range(0, 256).Where(version => version != 1 && cipher.Decrypt([(byte)version, .. entry[1..]]) is not null), Is.Empty);
    }

    [TestCaseSource(nameof(Parts))]
    public void No_entry_of_an_account_is_accepted_that_differs_in_its(string part)
    {
        SharedTokenCipher one = Cipher();
        SharedTokenCipher other = Cipher(s_parts[part]);

        Assert.That(other.Decrypt(one.Encrypt(s_token)), Is.Null);
        Assert.That(one.Decrypt(other.Encrypt(s_token)), Is.Null);
    }

    [TestCaseSource(nameof(Parts))]
    public void The_cache_keys_of_entry_and_lease_change_with_the(string part)
    {
        SharedTokenCipher one = Cipher();
        SharedTokenCipher other = Cipher(s_parts[part]);

        Assert.That((string[])[one.CacheKey, one.LeaseKey, other.CacheKey, other.LeaseKey], Is.Unique);
        Assert.That((Cipher().CacheKey, Cipher().LeaseKey), Is.EqualTo((one.CacheKey, one.LeaseKey)), "for the same account they are the same");
    }

    [Test]
    public void Parts_that_read_the_same_when_joined_are_different_accounts()
    {
        SharedTokenCipher one = Cipher(static o => o.Scope = "offers");
        SharedTokenCipher other = Cipher(static o => o.ForwardedFor = "offers");

        Assert.That(one.CacheKey, Is.Not.EqualTo(other.CacheKey));
        Assert.That(other.Decrypt(one.Encrypt(s_token)), Is.Null);
    }

    [Test]
    public void Two_encryptions_of_one_token_have_no_byte_run_in_common_but_the_version()
    {
        SharedTokenCipher cipher = Cipher();
        string[] entries = [.. Enumerable.Range(0, 1000).Select(_ => Convert.ToHexString(cipher.Encrypt(s_token)))];

        Assert.That(entries.Select(static e => e[2..26]), Is.Unique, "nonces");
        Assert.That(entries.Select(static e => e[26..58]), Is.Unique, "first blocks of the ciphertext");
    }

    [Test]
    public void The_entry_and_its_keys_hold_nothing_of_token_identity_key_or_endpoint()
    {
        SharedTokenCipher cipher = Cipher();
        byte[] entry = cipher.Encrypt(s_token);
        string[] texts =
        [
            Encoding.Latin1.GetString(entry), Convert.ToHexString(entry), Convert.ToBase64String(entry), cipher.CacheKey, cipher.LeaseKey,
        ];
        string[] secrets = [s_token.Value, _identity, _key, "sparkfly.test", "auth\n"];

        foreach (string secret in secrets)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(secret);
            foreach (string text in texts)
            {
                Assert.That(text, Does.Not.Contain(secret).IgnoreCase);
                Assert.That(text, Does.Not.Contain(Convert.ToHexString(bytes)).IgnoreCase);
                Assert.That(text, Does.Not.Contain(Convert.ToBase64String(bytes)[..8]));
            }
        }

        Assert.That(cipher.CacheKey, Does.Match("^sparkfly-auth:[0-9a-f]{64}$"));
    }

    [Test]
    public void Nothing_that_prints_or_a_debugger_shows_holds_the_token()
    {
        Assert.That(s_token.ToString(), Does.Not.Contain(s_token.Value));
        var browsable = (System.Diagnostics.DebuggerBrowsableAttribute?)Attribute.GetCustomAttribute(
            typeof(SharedToken).GetProperty(nameof(SharedToken.Value))!, typeof(System.Diagnostics.DebuggerBrowsableAttribute));
        Assert.That(browsable?.State, Is.EqualTo(System.Diagnostics.DebuggerBrowsableState.Never));
    }

    private SharedTokenCipher Cipher(Action<SparkflyAuthOptions>? change = null)
    {
        var options = new SparkflyAuthOptions { BaseAddress = new Uri("https://sparkfly.test/v1.0"), Identity = _identity, Key = _key };
        change?.Invoke(options);
        return new SharedTokenCipher(AccountSettings.From(options));
    }
}
