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
/// An entry is a version byte, a nonce of 12 random bytes, the ciphertext, a tag of 16 bytes. The plaintext of a token's entry is two times in ticks
/// of UTC and the token; that of a lease is one time and the instance. A lease has associated data of its own, so that neither passes for the other.
/// Nonces are drawn at random: NIST SP 800-38D allows 2^32 of them under one key, and an account writes a few a day.
/// </remarks>
[DebuggerDisplay("{CacheKey}")]
internal sealed class SharedTokenCipher
{
    private const byte Version = 1;
    private const int NonceSize = 12;
    private const int TagSize = 16;
    private const int HeaderSize = 1 + NonceSize;
    private const int TimesSize = 2 * sizeof(long);
    private const int InstanceSize = 16;

    // A token is 64 bytes. What is much longer was not written by an instance of the fleet, and is not worth decrypting.
    private const int LongestEntry = 16 * 1024;

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly byte[] _key;

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly byte[] _tokenData;

    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly byte[] _leaseData;

    public SharedTokenCipher(AccountSettings settings)
    {
        // Version 1 of the format. None of the parts can hold a line break, so joining them with one is unambiguous.
        byte[] account = Encoding.UTF8.GetBytes(string.Join(
            '\n', "Sparkfly.Auth.Handler/1", settings.AuthEndpoint.AbsoluteUri, settings.Identity, settings.Scope, settings.ForwardedFor));
        byte[] secret = Encoding.UTF8.GetBytes(settings.Key);
        _key = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, salt: null, info: [.. "encryption\n"u8, .. account]);
        byte[] naming = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, salt: null, info: [.. "naming\n"u8, .. account]);
        _tokenData = [Version, .. account];
        _leaseData = [Version, .. account, .. "\nlease"u8];

        // A keyed hash: the cache's keys do not reveal whose an entry is, even with the account's id.
        CacheKey = "sparkfly-auth:" + Convert.ToHexString(HMACSHA256.HashData(naming, account)).ToLowerInvariant();
        LeaseKey = CacheKey + ":lease";
        AccountDigest = settings.AccountDigest;
    }

    /// <summary>What the account is.</summary>
    public string AccountDigest { get; }

    /// <summary>The name of the account's entry.</summary>
    public string CacheKey { get; }

    /// <summary>The name of the lease to renew it.</summary>
    public string LeaseKey { get; }

    /// <summary>Whether readers would accept the entry of this token: one that is too long is not worth writing.</summary>
    public static bool Fits(string token) => HeaderSize + TimesSize + Encoding.UTF8.GetByteCount(token) + TagSize <= LongestEntry;

    public byte[] Encrypt(SharedToken token)
    {
        byte[] plaintext = new byte[TimesSize + Encoding.UTF8.GetByteCount(token.Value)];
        BinaryPrimitives.WriteInt64BigEndian(plaintext, token.ObtainedAt.UtcTicks);
        BinaryPrimitives.WriteInt64BigEndian(plaintext.AsSpan(sizeof(long)), token.ForcedAt?.UtcTicks ?? 0);
        Encoding.UTF8.GetBytes(token.Value, plaintext.AsSpan(TimesSize));
        return Seal(plaintext, _tokenData);
    }

    /// <summary>Null where there is no entry, or not one that an instance with this account's key has written for this account.</summary>
    public SharedToken? Decrypt(ReadOnlySpan<byte> entry)
    {
        if (Open(entry, _tokenData) is not { Length: > TimesSize } plaintext)
        {
            return null;
        }

        long forcedAt = BinaryPrimitives.ReadInt64BigEndian(plaintext.AsSpan(sizeof(long)));
        return new SharedToken(Encoding.UTF8.GetString(plaintext.AsSpan(TimesSize)), ReadTime(plaintext), forcedAt == 0 ? null : UtcTime(forcedAt));
    }

    public byte[] EncryptLease(SharedLease lease)
    {
        byte[] plaintext = new byte[sizeof(long) + InstanceSize];
        BinaryPrimitives.WriteInt64BigEndian(plaintext, lease.WrittenAt.UtcTicks);
        lease.Instance.TryWriteBytes(plaintext.AsSpan(sizeof(long)));
        return Seal(plaintext, _leaseData);
    }

    /// <summary>Null where there is no entry, or not a lease that an instance with this account's key has written for this account.</summary>
    public SharedLease? DecryptLease(ReadOnlySpan<byte> entry) =>
        Open(entry, _leaseData) is { Length: sizeof(long) + InstanceSize } plaintext
            ? new SharedLease(new Guid(plaintext.AsSpan(sizeof(long))), ReadTime(plaintext))
            : null;

    private static DateTimeOffset ReadTime(ReadOnlySpan<byte> plaintext) => UtcTime(BinaryPrimitives.ReadInt64BigEndian(plaintext));

    private static DateTimeOffset UtcTime(long ticks) => new(ticks, TimeSpan.Zero);

    private byte[] Seal(ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> associatedData)
    {
        byte[] entry = new byte[HeaderSize + plaintext.Length + TagSize];
        entry[0] = Version;
        Span<byte> nonce = entry.AsSpan(1, NonceSize);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(_key, TagSize);
        aes.Encrypt(nonce, plaintext, entry.AsSpan(HeaderSize, plaintext.Length), entry.AsSpan(HeaderSize + plaintext.Length), associatedData);
        return entry;
    }

    private byte[]? Open(ReadOnlySpan<byte> entry, ReadOnlySpan<byte> associatedData)
    {
        int length = entry.Length - HeaderSize - TagSize;
        if (length < 0 || entry.Length > LongestEntry || entry[0] != Version)
        {
            return null;
        }

        byte[] plaintext = new byte[length];
        try
        {
            using var aes = new AesGcm(_key, TagSize);
            aes.Decrypt(entry.Slice(1, NonceSize), entry.Slice(HeaderSize, length), entry[^TagSize..], plaintext, associatedData);
            return plaintext;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }
}
