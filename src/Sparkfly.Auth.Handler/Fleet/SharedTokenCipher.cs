using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// Turns what is shared into bytes that only an instance with the account's own key can make or read: AES-256-GCM, the key derived from the
/// account's by HKDF-SHA256 (RFC 5869), everything that identifies the account as associated data. Thread-safe.
/// </summary>
/// <remarks>
/// An entry is a version byte, a nonce of 12 random bytes, the ciphertext, a tag of 16 bytes. The plaintext is two times in ticks of UTC and the
/// token. Nonces are drawn at random: NIST SP 800-38D allows 2^32 of them under one key, and an account writes a few a day.
/// </remarks>
[DebuggerDisplay("{CacheKey}")]
internal sealed class SharedTokenCipher
{
    private const byte Version = 1;
    private const int NonceSize = 12;
    private const int TagSize = 16;
    private const int HeaderSize = 1 + NonceSize;
    private const int TimesSize = 2 * sizeof(long);

    // A token is 64 bytes; what is much longer was not written by us, and is not worth decrypting.
    private const int LongestEntry = 16 * 1024;

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly byte[] _key;

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly byte[] _account;

    public SharedTokenCipher(AccountSettings settings)
    {
        // Version 1 of the format. None of the parts can hold a line break, so joining them with one is unambiguous.
        _account = Encoding.UTF8.GetBytes(string.Join(
            '\n', "Sparkfly.Auth.Handler/1", settings.AuthEndpoint.AbsoluteUri, settings.Identity, settings.Scope, settings.ForwardedFor));
        byte[] secret = Encoding.UTF8.GetBytes(settings.Key);
        _key = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, salt: null, info: [.. "encryption\n"u8, .. _account]);
        byte[] naming = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, salt: null, info: [.. "naming\n"u8, .. _account]);

        // A keyed hash: whoever lists the cache's keys and knows an account's id still cannot tell which entry is whose.
        CacheKey = "sparkfly-auth:" + Convert.ToHexStringLower(HMACSHA256.HashData(naming, _account));
        LeaseKey = CacheKey + ":claim";
        AccountDigest = settings.AccountDigest;
    }

    /// <summary>What the account is.</summary>
    public string AccountDigest { get; }

    /// <summary>The name of the account's entry.</summary>
    public string CacheKey { get; }

    /// <summary>The name of the claim to renew it.</summary>
    public string LeaseKey { get; }

    public byte[] Encrypt(SharedToken token)
    {
        int length = TimesSize + Encoding.UTF8.GetByteCount(token.Value);
        byte[] plaintext = new byte[length];
        BinaryPrimitives.WriteInt64BigEndian(plaintext, token.ObtainedAt.UtcTicks);
        BinaryPrimitives.WriteInt64BigEndian(plaintext.AsSpan(sizeof(long)), token.ForcedAt?.UtcTicks ?? 0);
        Encoding.UTF8.GetBytes(token.Value, plaintext.AsSpan(TimesSize));

        byte[] entry = new byte[HeaderSize + length + TagSize];
        entry[0] = Version;
        Span<byte> nonce = entry.AsSpan(1, NonceSize);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(_key, TagSize);
        aes.Encrypt(nonce, plaintext, entry.AsSpan(HeaderSize, length), entry.AsSpan(HeaderSize + length), AssociatedData(Version));
        return entry;
    }

    /// <summary>Null where the entry is not one that an instance with this account's key has written for this account.</summary>
    public SharedToken? Decrypt(ReadOnlySpan<byte> entry)
    {
        int length = entry.Length - HeaderSize - TagSize;
        if (length <= TimesSize || entry.Length > LongestEntry || entry[0] != Version)
        {
            return null;
        }

        byte[] plaintext = new byte[length];
        try
        {
            using var aes = new AesGcm(_key, TagSize);
            aes.Decrypt(entry.Slice(1, NonceSize), entry.Slice(HeaderSize, length), entry[^TagSize..], plaintext, AssociatedData(entry[0]));
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }

        long obtainedAt = BinaryPrimitives.ReadInt64BigEndian(plaintext);
        long forcedAt = BinaryPrimitives.ReadInt64BigEndian(plaintext.AsSpan(sizeof(long)));
        return new SharedToken(
            Encoding.UTF8.GetString(plaintext.AsSpan(TimesSize)),
            new DateTimeOffset(obtainedAt, TimeSpan.Zero),
            forcedAt == 0 ? null : new DateTimeOffset(forcedAt, TimeSpan.Zero));
    }

    private byte[] AssociatedData(byte version) => [version, .. _account];
}
