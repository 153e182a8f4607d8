using System.Diagnostics;
using System.Reflection;
using Microsoft.Extensions.Configuration;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>How the public members feel in an editor and a debugger: nulls, overloads, displays.</summary>
public class PublicMembersTests
{
    private static readonly NullabilityInfoContext s_nullability = new();

    // An application's own account source is its own.
    private static Type[] Types { get; } = [.. typeof(SparkflyAuthHandler).Assembly.GetExportedTypes().Where(static t => t != typeof(ISparkflyAccountSource))];

    /// <summary>Every argument of every public method and constructor that its annotation says is not null.</summary>
    private static IEnumerable<TestCaseData> Arguments => Types
        .SelectMany(static t => t.GetMethods(Own).Where(static m => !m.IsSpecialName).Concat<MethodBase>(t.GetConstructors()))
        .SelectMany(static m => m.GetParameters())
        .Where(static p => !p.ParameterType.IsValueType && s_nullability.Create(p).WriteState == NullabilityState.NotNull)
        .Select(static p => new TestCaseData(p).SetArgDisplayNames($"{p.Member.DeclaringType!.Name}.{p.Member.Name}: {p}"));

    private static IEnumerable<Type> Classes =>
        Types.Where(static t => t is { IsClass: true, IsAbstract: false } && !t.IsAssignableTo(typeof(Exception)));

    private static BindingFlags Own => BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    [TestCaseSource(nameof(Arguments))]
    public async Task A_null_is_refused_by_the_argument_s_name(ParameterInfo argument)
    {
        var sparkfly = new InMemorySparkfly();
        await using TestApp app = sparkfly.App();
        MethodBase method = argument.Member is MethodInfo { IsGenericMethodDefinition: true } generic
            ? generic.MakeGenericMethod(typeof(ISparkflyAccountSource))
            : (MethodBase)argument.Member;
        object?[] values = [.. method.GetParameters().Select(p => p.Position == argument.Position ? null : Some(p.ParameterType, app))];

        ArgumentNullException exception = await Thrown.By<ArgumentNullException>(async () =>
        {
            try
            {
                object? result = method is ConstructorInfo constructor
                    ? constructor.Invoke(values)
                    : method.Invoke(method.IsStatic ? null : Some(method.DeclaringType!, app), values);
                await (result is ValueTask<SparkflyToken> token ? token.AsTask() : Task.CompletedTask);
            }
            catch (TargetInvocationException invoked) when (invoked.InnerException is ArgumentNullException inner)
            {
                throw inner;
            }
        });

        Assert.That(exception.ParamName, Is.EqualTo(argument.Name));
    }

    /// <summary>What could be meant for several overloads, or for none, is an error of the compiler and not a registration of something else.</summary>
    [TestCase("services.AddSparkflyAuth(null!);", "CS0121")]
    [TestCase("services.AddSparkflyAuth(\"tacos\", null!);", "CS0121")]
    [TestCase("services.AddSparkflyAuth(\"tacos\");", null)]
    [TestCase("services.AddSparkflyAuth(null!, options => { });", null, Description = "A name of null is refused when it is called.")]
    [TestCase("services.AddSparkflyAuth(null, options => { });", "CS8625")]
    [TestCase("services.AddSparkflyAuth(options => options.Key = null);", null)]
    [TestCase("services.AddSparkflyAuth(builder.Configuration.GetSection(\"Tacos\"));", null)]
    [TestCase("services.AddSparkflyAuth(async options => await Task.Yield());", null, Description = "Is async void, as with all of the platform's.")]
    [TestCase("client.AddSparkflyAuthHandler(null);", "CS8625")]
    [TestCase("services.AddHttpClient(\"offers\").AddSparkflyAuthHandler(\"tacos\").AddStandardResilienceHandler();", null)]
    public void A_call_binds_to_one_overload_or_does_not_compile(string call, string? error)
    {
        string[] problems = PageCompiler.Problems(new CodeBlock("Program.cs", 1, "csharp", call), []);

        Assert.That(problems, error is null ? Is.Empty : Has.Length.EqualTo(1).And.Some.Contains($": {error}: "));
    }

    [TestCaseSource(nameof(Classes))]
    public void A_debugger_shows_at_a_glance_what_an_object_is(Type type) =>
        Assert.That(type.GetCustomAttribute<DebuggerDisplayAttribute>(inherit: false)?.Value, Does.Contain("{"));

    private static object Some(Type type, TestApp app) => type switch
    {
        _ when type == typeof(string) => "text",
        _ when type == typeof(IServiceCollection) => new ServiceCollection(),
        _ when type == typeof(IHttpClientBuilder) => new ServiceCollection().AddHttpClient("api"),
        _ when type == typeof(IHealthChecksBuilder) => new ServiceCollection().AddHealthChecks(),
        _ when type == typeof(IConfiguration) => Configured.From(),
        _ when type == typeof(HttpRequestMessage) => new HttpRequestMessage(),
        _ when type == typeof(Action<SparkflyAuthOptions>) => (Action<SparkflyAuthOptions>)Ignore,
        _ when type == typeof(Action<IHttpClientBuilder>) => (Action<IHttpClientBuilder>)Ignore,
        _ when type == typeof(SparkflyAuthBuilder) => new ServiceCollection().AddSparkflyAuth(),
        _ when type.IsValueType => Activator.CreateInstance(type)!,
        _ => app.Services.GetService(type) ?? throw new AssertionException($"This test needs some {type}."),
    };

    private static void Ignore<T>(T value)
    {
    }
}
