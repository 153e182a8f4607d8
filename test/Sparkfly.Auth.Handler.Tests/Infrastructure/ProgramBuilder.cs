namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What Program.cs calls <c>builder</c>, so that a page's code runs in a test as it stands.</summary>
internal sealed record ProgramBuilder(IServiceCollection Services);
