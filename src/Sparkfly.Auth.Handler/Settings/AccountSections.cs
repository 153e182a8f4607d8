namespace Sparkfly.Auth.Handler;

/// <summary>The configuration sections that the accounts of one service provider are bound to, by the account's name. Immutable.</summary>
internal sealed class AccountSections(ILookup<string, AccountSection> sections)
{
    /// <summary>Gets the sections of an account, in the order of their registration; none where its options are set in code.</summary>
    public IEnumerable<AccountSection> Of(string account) => sections[account];
}
