namespace Sparkfly.Auth.Handler;

/// <summary>Bounds for durations.</summary>
internal static class Durations
{
    /// <summary>The shorter one.</summary>
    public static TimeSpan AtMost(this TimeSpan duration, TimeSpan longest) => TimeSpan.FromTicks(Math.Min(duration.Ticks, longest.Ticks));

    /// <summary>The longer one.</summary>
    public static TimeSpan AtLeast(this TimeSpan duration, TimeSpan shortest) => TimeSpan.FromTicks(Math.Max(duration.Ticks, shortest.Ticks));
}
