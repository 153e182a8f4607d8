namespace Sparkfly.Auth.Handler;

/// <summary>Takes the caller's synchronization context away while its thread is blocked: code of the application's own may come back to it.</summary>
internal readonly ref struct NoSynchronizationContext
{
    private readonly SynchronizationContext? _context;

    private NoSynchronizationContext(SynchronizationContext? context) => _context = context;

    public static NoSynchronizationContext Enter()
    {
        var entered = new NoSynchronizationContext(SynchronizationContext.Current);
        SynchronizationContext.SetSynchronizationContext(null);
        return entered;
    }

    public void Dispose() => SynchronizationContext.SetSynchronizationContext(_context);
}
