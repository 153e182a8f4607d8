namespace Sparkfly.Auth.Handler;

/// <summary>What messages call an account.</summary>
internal static class AccountName
{
    public static string Label(string name) => name.Length == 0 ? "Sparkfly" : $"Sparkfly account '{name}'";
}
