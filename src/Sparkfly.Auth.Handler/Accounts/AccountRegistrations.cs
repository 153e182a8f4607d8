using System.Diagnostics;

namespace Sparkfly.Auth.Handler;

/// <summary>
/// The names that were registered with <c>AddSparkflyAuth</c>, and whether a source of accounts was. One object among the services, filled while
/// they are registered and only read afterwards: to look for each among all services would take quadratic time.
/// </summary>
[DebuggerDisplay("{Names.Count} accounts")]
internal sealed class AccountRegistrations
{
    /// <summary>The name that stands for all accounts of a source.</summary>
    public const string OfSource = "*";

    /// <summary>The registered accounts.</summary>
    public HashSet<string> Names { get; } = [];

    /// <summary>Those whose token is shared through the distributed cache; <see cref="OfSource"/> for all accounts of the source.</summary>
    public HashSet<string> Shared { get; } = [];

    /// <summary>Whether there is a source of accounts.</summary>
    public bool HasSource { get; set; }
}
