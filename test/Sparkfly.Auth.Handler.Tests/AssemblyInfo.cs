using Sparkfly.Auth.Handler.Tests;

[assembly: Parallelizable(ParallelScope.All)]
[assembly: FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[assembly: LevelOfParallelism(4)]
[assembly: EndsInNoActivity]
