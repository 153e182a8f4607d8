namespace Sparkfly.Auth.Handler;

/// <summary>The settings that an account has now: the last good ones of whoever brings them. Read without a lock, written under one of the writer's.</summary>
internal class CurrentSettings
{
    private volatile AccountSettings? _current;

    /// <summary>Another object only when a value differs; null before the first.</summary>
    public AccountSettings? Current => _current;

    /// <summary>Makes these the current ones, unless they are equal to those there are.</summary>
    /// <returns>Whether others have been replaced: changed options means that a value differs.</returns>
    public bool Take(AccountSettings settings)
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
