namespace Sparkfly.Auth.Handler.Testing;

/// <summary>
/// Where Sparkfly is: its own environments, and what the accounts of applications are configured with. Everywhere else is another host.
/// Thread-safe.
/// </summary>
internal sealed class SparkflyHomes
{
    private readonly Lock _lock = new();
    private readonly HashSet<Uri> _bases = [];
    private readonly HashSet<Uri> _authEndpoints = [];

    public SparkflyHomes()
    {
        Add(SparkflyEnvironments.Staging, null);
        Add(SparkflyEnvironments.Production, null);
    }

    public void Add(Uri baseAddress, Uri? authEndpoint)
    {
        Uri withSlash = baseAddress.AbsolutePath.EndsWith('/') ? baseAddress : new Uri(baseAddress.AbsoluteUri + "/");
        lock (_lock)
        {
            _bases.Add(withSlash);
            _authEndpoints.Add(authEndpoint ?? new Uri(withSlash, "auth"));

            // The other home of /auth, in newer descriptions of the API.
            _authEndpoints.Add(new Uri(withSlash, "/auth"));
        }
    }

    public bool IsAuthEndpoint(Uri address)
    {
        lock (_lock)
        {
            return _authEndpoints.Any(e => IsSame(e, address, UriComponents.SchemeAndServer | UriComponents.Path));
        }
    }

    /// <summary>The base address that an address of Sparkfly's is under, or is beside at its host; null for another host's.</summary>
    public Uri? BaseOf(Uri address)
    {
        lock (_lock)
        {
            return _bases.Where(b => IsSame(b, address, UriComponents.SchemeAndServer))
                .OrderByDescending(b => address.AbsolutePath.StartsWith(b.AbsolutePath, StringComparison.Ordinal))
                .ThenByDescending(static b => b.AbsolutePath.Length)
                .FirstOrDefault();
        }
    }

    public static bool IsSame(Uri a, Uri b, UriComponents components) =>
        Uri.Compare(a, b, components, UriFormat.UriEscaped, components.HasFlag(UriComponents.Path) ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase) == 0;
}
