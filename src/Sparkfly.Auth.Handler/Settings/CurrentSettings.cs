namespace Sparkfly.Auth.Handler;

/// <summary>The last valid settings of an account. Read without a lock; its one writer has a lock of its own.</summary>
internal class CurrentSettings
{
    private volatile AccountSettings? _current;

    /// <summary>A new object only when a value differs; null before the first.</summary>
    public AccountSettings? Current => _current;

    /// <summary>Makes these settings the current ones, unless they are equal.</summary>
    /// <returns>Whether they replace other settings.</returns>
    public bool Update(AccountSettings settings)
    {
        AccountSettings? former = _current;
        if (settings == former)
        {
            return false;
        }

        _current = settings;
        return former is not null;
    }
}
