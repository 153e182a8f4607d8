using Sparkfly.Auth.Handler.Tests;

[assembly: FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[assembly: EndsInNoActivity]
