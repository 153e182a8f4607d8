namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Deletes the packages when all tests have ended that install them.</summary>
[SetUpFixture]
public sealed class PackedPackagesEnd
{
    [OneTimeTearDown]
    public static void Delete() => PackedPackages.Delete();
}
