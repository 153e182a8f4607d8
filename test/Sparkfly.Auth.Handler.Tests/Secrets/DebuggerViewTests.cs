using System.Collections;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 6.6, for debugger views and <c>ToString()</c>: what a debugger shows of the package's objects, as far as it can be unfolded.</summary>
public class DebuggerViewTests
{
    private const BindingFlags Everything =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    [Test]
    public async Task No_object_of_a_running_application_shows_a_secret()
    {
        await using StandInServer sparkfly = await Sparkfly.StartAsync();
        var issued = new List<string>();
        sparkfly.TokenIssued = token => issued.Add(SecretSweep.Secret(token));
        var view = new DebuggerView();
        await using TestApp app = sparkfly.App();
        SparkflyAuthOptions options = app.Services.GetRequiredService<Microsoft.Extensions.Options.IOptionsMonitor<SparkflyAuthOptions>>().CurrentValue;
        using HttpClient client = app.Client();
        using HttpResponseMessage response = await client.GetAsync("offers");
        SparkflyToken token = await app.Tokens.GetTokenAsync();
        SparkflyAccount account = app.Services.GetRequiredService<SparkflyAccounts>().GetRegistered("")!;
        using var request = new HttpRequestMessage(HttpMethod.Get, sparkfly.BaseAddress) { Headers = { { "X-Auth-Token", token.Value } } };

        object[] roots =
        [
            options, token, account, app.Tokens, account.Settings, app.Services.GetRequiredService<TokenStates>(),
            app.Services.GetRequiredService<AuthEndpoints>(), app.Services.GetRequiredService<PrimaryHandlers>(),
            app.Services.GetRequiredService<SparkflyAuthHandler>(), new CachedToken(token, 0.5), new TokenRequest(account.Settings, token),
            TokenDecision.Use(token), TokenResponse.Of(token), new TokenOutcome(token, null), new TokenExchange(account.Settings.AuthEndpoint, new TokenRequest(account.Settings, token)) { Token = [token.Value] },
            new SharedToken(token.Value, token.ObtainedAt, null), new SharedTokenCipher(account.Settings),
            .. Pipeline(app, "api"), .. Pipeline(app, SparkflyAuthClient.ClientName("")),
        ];
        foreach (object root in roots)
        {
            view.Show(root, root.GetType().Name);
        }

        foreach (Type type in typeof(SparkflyAuthHandler).Assembly.GetTypes().Where(static t => !t.ContainsGenericParameters && !IsGenerated(t)))
        {
            view.ShowStatics(type);
        }

        Assert.That(issued, Is.Not.Empty);
        Assert.That(view.Texts, Has.Count.GreaterThan(100), "or little was unfolded");
        Assert.That(view.Types, Is.SupersetOf((Type[])[
            typeof(AccountSettings), typeof(CachedToken), typeof(TokenState), typeof(SparkflyToken), typeof(TokenRequestHandler), typeof(RequestAccountHandler)]));
        string[] secrets = [.. issued, sparkfly.Options.Key, sparkfly.Options.Identity];
        Assert.That(view.Texts.Where(t => secrets.Any(t.Contains)), Is.Empty);
    }

    [Test]
    public void ToString_of_what_holds_a_secret_shows_none()
    {
        string secret = SecretSweep.NewSecret("secret");
        var options = new SparkflyAuthOptions { Identity = secret, Key = secret };
        AccountSettings settings = AccountSettings.From(options);
        var token = new SparkflyToken(secret, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch);

        object[] holders =
        [
            options, settings, token, new CachedToken(token, 0), new TokenRequest(settings, token), TokenDecision.Use(token), TokenResponse.Of(token),
            new TokenOutcome(token, null), new TokenExchange(settings.AuthEndpoint, new TokenRequest(settings, token)) { Token = [secret] },
            new SharedToken(secret, token.ObtainedAt, null), new SharedTokenCipher(settings),
        ];

        Assert.That(holders.Select(static h => h.ToString()), Has.None.Contains(secret));
        Assert.That(token.ToString(), Does.Contain("1970-01-01"));
    }

    [Test]
    public void Every_type_with_a_secret_among_its_members_has_a_DebuggerDisplay_of_its_own()
    {
        foreach (Type type in (Type[])[typeof(SparkflyAuthOptions), typeof(AccountSettings), typeof(SparkflyToken), typeof(SharedToken), typeof(SharedTokenCipher), typeof(TokenExchange)])
        {
            Assert.That(type.GetCustomAttribute<DebuggerDisplayAttribute>(), Is.Not.Null, type.Name);
        }
    }

    [Test]
    public void The_view_of_this_test_does_see_what_is_not_hidden()
    {
        var view = new DebuggerView();

        view.Show(new AuthFailure("a message that is shown"), "failure");

        Assert.That(view.Texts, Has.Some.Contains("a message that is shown"));
    }

    /// <summary>The handlers of a client, from the outermost to the primary one.</summary>
    private static IEnumerable<HttpMessageHandler> Pipeline(TestApp app, string client)
    {
        HttpMessageHandler? handler = app.Services.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler(client);
        for (; handler is not null; handler = (handler as DelegatingHandler)?.InnerHandler)
        {
            yield return handler;
        }
    }

    private static bool IsGenerated(MemberInfo member) => member.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false);

    /// <summary>Unfolds objects as a debugger does: its display or ToString(), then fields and properties that are not hidden.</summary>
    private sealed class DebuggerView
    {
        private readonly HashSet<object> _shown = new(ReferenceEqualityComparer.Instance);

        public List<string> Texts { get; } = [];

        public HashSet<Type> Types { get; } = [];

        public void Show(object? value, string path)
        {
            if (value is null || (!value.GetType().IsValueType && !_shown.Add(value)))
            {
                return;
            }

            Type type = value.GetType();
            Types.Add(type);
            if (value is not Delegate)
            {
                Texts.Add($"{path} = {value}");
            }

            if (type.Assembly != typeof(SparkflyAuthHandler).Assembly)
            {
                ShowElements(value, path);
                return;
            }

            for (Type? declaring = type; declaring is not null && declaring.Assembly == type.Assembly; declaring = declaring.BaseType)
            {
                ShowMembers(declaring, value, path);
            }
        }

        public void ShowStatics(Type type) => ShowMembers(type, null, type.Name);

        private void ShowElements(object value, string path)
        {
            if (value is IEnumerable elements and not string)
            {
                foreach (object? element in elements)
                {
                    Show(element, path + "[]");
                }
            }
            else if (value is ITuple tuple)
            {
                for (int i = 0; i < tuple.Length; i++)
                {
                    Show(tuple[i], $"{path}.Item{i}");
                }
            }
            else if (value.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(KeyValuePair<,>))
            {
                Show(type.GetProperty("Key")!.GetValue(value), path + ".Key");
                Show(type.GetProperty("Value")!.GetValue(value), path + ".Value");
            }
        }

        private void ShowMembers(Type type, object? value, string path)
        {
            foreach (FieldInfo field in type.GetFields(Everything).Where(f => IsShown(f, value) && !f.IsLiteral))
            {
                Show(field.GetValue(value), $"{path}.{field.Name}");
            }

            foreach (PropertyInfo property in type.GetProperties(Everything)
                .Where(p => IsShown(p, value) && p.CanRead && p.GetIndexParameters().Length == 0 && !p.PropertyType.IsByRef))
            {
                if (property.GetMethod!.IsStatic != value is null)
                {
                    continue;
                }

                try
                {
                    Show(property.GetValue(value), $"{path}.{property.Name}");
                }
                catch (TargetInvocationException)
                {
                    // A debugger shows the exception.
                }
            }

            // A getter of an auto-property is shown as the property; so is its field where nothing hides it.
            static bool IsShown(MemberInfo member, object? value) =>
                member.GetCustomAttributes<DebuggerBrowsableAttribute>().All(static a => a.State != DebuggerBrowsableState.Never) &&
                (member is not FieldInfo field || field.IsStatic == value is null);
        }
    }
}
