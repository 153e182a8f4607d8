using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>What the fleet knows: the token of one of its instances, and when a 401 last forced one.</summary>
/// <param name="Value">The token.</param>
/// <param name="ObtainedAt">When its request was sent, on the clock of the instance that sent it.</param>
/// <param name="ForcedAt">When a 401 last forced a renewal, on the clock of the instance that made it; null where none has.</param>
[DebuggerDisplay("{ToString(),nq}")]
internal sealed record SharedToken(
    [property: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    [field: DebuggerBrowsable(DebuggerBrowsableState.Never)]
    string Value,
    DateTimeOffset ObtainedAt,
    DateTimeOffset? ForcedAt)
{
    /// <summary>Says nothing of the value: a record prints its members.</summary>
    public override string ToString() => $"Shared Sparkfly token obtained {ObtainedAt:u}";
}
