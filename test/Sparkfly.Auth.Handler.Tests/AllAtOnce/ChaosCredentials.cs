using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>A token that the service has issued.</summary>
/// <param name="Number">Counts the tokens of the credentials.</param>
/// <param name="KeyVersion">Which key it was issued for.</param>
/// <param name="At">When its request arrived, in true time.</param>
/// <param name="Owner">Who asked for it.</param>
internal sealed record ChaosToken(int Number, int KeyVersion, DateTimeOffset At, ChaosLedger Owner)
{
    /// <summary>Grows from token to token: a token of a later key is newer, whenever its request was sent.</summary>
    public long Order => ((long)KeyVersion << 32) + Number;

    public override string ToString() => $"token {Number} of key {KeyVersion} ({At:T})";
}

/// <summary>What the service knows of one identity: its keys and tokens. Several accounts, of several instances, may use it. Thread-safe.</summary>
internal sealed class ChaosCredentials
{
    public static readonly TimeSpan Margin = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<string, ChaosToken> _issued = new();
    private readonly string _key = SecretSweep.NewSecret("key");
    private readonly string _token = SecretSweep.NewSecret("token");
    private int _issuedCount;
    private int _revoked;
    private int _keyVersion;

    /// <param name="host">The origin of the accounts.</param>
    /// <param name="usableLife">How long a token is used.</param>
    /// <param name="settings">Further settings of the accounts.</param>
    public ChaosCredentials(string host, TimeSpan usableLife, Dictionary<string, string?> settings)
    {
        Host = host;
        UsableLife = usableLife;
        Settings = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>(settings)
        {
            ["BaseAddress"] = $"http://{host}/v1.0",
            ["AllowHttp"] = "true",
            ["Identity"] = Identity,
            ["Key"] = $"{_key}-0",
            ["TokenLifetime"] = $"{usableLife + Margin}",
        }).Build();
    }

    public string Host { get; }

    public TimeSpan UsableLife { get; }

    public string Identity { get; } = SecretSweep.NewSecret("identity");

    /// <summary>The configuration that all instances follow.</summary>
    public IConfigurationRoot Settings { get; }

    /// <summary>The key that every instance has by now, counted from zero.</summary>
    public int KeyVersion => Volatile.Read(ref _keyVersion);

    public void Revoke() => Volatile.Write(ref _revoked, Volatile.Read(ref _issuedCount));

    /// <summary>Rotates the key: first reloads an invalid key, which changes nothing, then a valid one.</summary>
    public void RotateKey()
    {
        lock (_lock)
        {
            Reload("");
            Reload($"{_key}-{_keyVersion + 1}");
            Volatile.Write(ref _keyVersion, _keyVersion + 1);
        }
    }

    /// <summary>Which key this is; null where it is none of ours.</summary>
    public int? VersionOf(string? key) => key is not null && key.StartsWith($"{_key}-", StringComparison.Ordinal)
        ? int.Parse(key.AsSpan(_key.Length + 1), CultureInfo.InvariantCulture)
        : null;

    public string Issue(int keyVersion, DateTimeOffset at, ChaosLedger owner)
    {
        int number = Interlocked.Increment(ref _issuedCount);
        string token = $"{_token}-{number.ToString(CultureInfo.InvariantCulture)}";
        _issued[token] = new ChaosToken(number, keyVersion, at, owner);
        return token;
    }

    public ChaosToken? Find(string? token) => token is not null && _issued.TryGetValue(token, out ChaosToken? issued) ? issued : null;

    public bool IsGood(ChaosToken token, DateTimeOffset now) => token.Number > Volatile.Read(ref _revoked) && now < token.At + UsableLife + Margin;

    private void Reload(string key)
    {
        Settings["Key"] = key;
        Settings.Reload();
    }
}
