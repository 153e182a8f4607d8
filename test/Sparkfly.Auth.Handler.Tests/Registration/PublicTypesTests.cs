using System.Diagnostics;
using System.Net;
using System.Reflection;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rules 2: what the public types are, and what they show.</summary>
public class PublicTypesTests
{
    private static readonly DateTimeOffset s_noon = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

    [Test]
    public void A_token_tells_its_times_and_only_Value_gives_its_value()
    {
        string value = SecretSweep.NewSecret("token");
        var token = new SparkflyToken(value, s_noon, s_noon.AddDays(1));

        Assert.That(token.Value, Is.EqualTo(value));
        Assert.That(token.ObtainedAt, Is.EqualTo(s_noon));
        Assert.That(token.ExpiresAt, Is.EqualTo(s_noon.AddDays(1)));
        Assert.That(token.ToString(), Does.Not.Contain(value).And.Contain("2026-01-01 12:00:00Z").And.Contain("2026-01-02 12:00:00Z"));
    }

    [TestCase("")]
    [TestCase("two words")]
    [TestCase("line\r\nbreak")]
    [TestCase("töken")]
    [TestCase("end\n")]
    [TestCase("\u007f")]
    public void A_token_that_cannot_stand_in_a_header_is_refused_without_being_shown(string value)
    {
        ArgumentException? exception = Assert.Throws<ArgumentException>(() => _ = new SparkflyToken(value, s_noon, s_noon));

        Assert.That(exception!.ParamName, Is.EqualTo("value"));
        Assert.That(value.Length == 0 || !exception.Message.Contains(value, StringComparison.Ordinal), exception.Message);
    }

    [Test]
    public void A_token_of_null_is_refused() =>
        Assert.Throws<ArgumentNullException>(() => _ = new SparkflyToken(null!, s_noon, s_noon));

    /// <summary>Rule 6.6: nothing that a debugger shows by itself holds a secret.</summary>
    [TestCase(typeof(SparkflyToken), nameof(SparkflyToken.Value))]
    [TestCase(typeof(SparkflyAuthOptions), nameof(SparkflyAuthOptions.Key))]
    [TestCase(typeof(SparkflyAuthOptions), nameof(SparkflyAuthOptions.Identity))]
    public void A_debugger_does_not_browse_secrets(Type type, string property)
    {
        string display = type.GetCustomAttribute<DebuggerDisplayAttribute>()!.Value;
        FieldInfo[] holders = [.. type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic)
            .Where(f => f.Name.Contains(property, StringComparison.OrdinalIgnoreCase))];

        Assert.That(display, Does.Not.Contain(property));
        Assert.That(type.GetProperty(property)!.GetCustomAttribute<DebuggerBrowsableAttribute>()?.State, Is.EqualTo(DebuggerBrowsableState.Never));
        Assert.That(holders, Is.Not.Empty);
        Assert.That(
            holders.Select(static f => f.GetCustomAttributes<DebuggerBrowsableAttribute>().FirstOrDefault()?.State), Is.All.EqualTo(DebuggerBrowsableState.Never));
    }

    [Test]
    public void The_exception_is_an_HttpRequestException_that_does_not_pose_as_the_API_s_answer()
    {
        var cause = new IOException();
        var exception = new SparkflyAuthenticationException("why", cause)
        {
            AuthStatusCode = HttpStatusCode.NotFound,
            IsTransient = true,
            RetryAt = s_noon,
        };

        Assert.That(exception, Is.InstanceOf<HttpRequestException>());
        Assert.That(exception.HttpRequestError, Is.EqualTo(HttpRequestError.UserAuthenticationError));
        Assert.That(exception.StatusCode, Is.Null);
        Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(exception.IsTransient, Is.True);
        Assert.That(exception.RetryAt, Is.EqualTo(s_noon));
        Assert.That(exception.Message, Is.EqualTo("why"));
        Assert.That(exception.InnerException, Is.SameAs(cause));
    }

    [Test]
    public void An_exception_of_a_message_alone_claims_nothing()
    {
        var exception = new SparkflyAuthenticationException("why");

        Assert.That(exception.AuthStatusCode, Is.Null);
        Assert.That(exception.IsTransient, Is.False);
        Assert.That(exception.RetryAt, Is.Null);
        Assert.That(exception.InnerException, Is.Null);
    }

    [Test]
    public void The_environments_are_Sparkfly_s()
    {
        Assert.That(SparkflyEnvironments.Staging.AbsoluteUri, Is.EqualTo("https://api-staging.sparkfly.com/v1.0/"));
        Assert.That(SparkflyEnvironments.Production.AbsoluteUri, Is.EqualTo("https://api.sparkfly.com/v1.0/"));
    }

    [Test]
    public void The_request_option_s_key_is_the_one_that_Refit_s_Property_is_told() =>
        Assert.That(SparkflyRequestOptions.Account.Key, Is.EqualTo("Sparkfly.Account"));

    [Test]
    public void Extension_methods_stand_in_the_platform_s_namespace_and_everything_else_in_the_package_s()
    {
        string[] misplaced = [.. typeof(SparkflyAuthHandler).Assembly.GetExportedTypes()
            .Where(static t => t.Namespace != (t is { IsAbstract: true, IsSealed: true } && t.Name.EndsWith("Extensions", StringComparison.Ordinal)
                ? "Microsoft.Extensions.DependencyInjection"
                : "Sparkfly.Auth.Handler"))
            .Select(static t => t.FullName!)];

        Assert.That(misplaced, Is.Empty);
    }
}
