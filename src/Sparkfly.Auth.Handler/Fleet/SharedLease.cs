namespace Sparkfly.Auth.Handler;

/// <summary>Says that an instance is asking for the fleet's token.</summary>
/// <param name="Instance">The instance, a random number.</param>
/// <param name="WrittenAt">When it wrote this, on its own clock; the beginning of time in a lease that it has released.</param>
internal sealed record SharedLease(Guid Instance, DateTimeOffset WrittenAt);
