using System.ComponentModel;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>ConfigurationSchema.json, by which editors complete and check appsettings.json, says what the options are.</summary>
public class ConfigurationSchemaTests
{
    private static readonly JsonObject s_section = Section();

    private static IEnumerable<string> Options => typeof(SparkflyAuthOptions).GetProperties().Select(static p => p.Name);

    [Test]
    public void The_schema_has_the_options_and_no_others() =>
        Assert.That(s_section["properties"]!.AsObject().Select(static p => p.Key), Is.EquivalentTo(Options));

    [TestCaseSource(nameof(Options))]
    public void An_option_has_its_type_and_its_default_in_the_schema(string name)
    {
        JsonNode option = s_section["properties"]![name]!;
        Type type = typeof(SparkflyAuthOptions).GetProperty(name)!.PropertyType;
        object? value = typeof(SparkflyAuthOptions).GetProperty(name)!.GetValue(new SparkflyAuthOptions());
        string description = option["description"]!.GetValue<string>();

        Assert.That(option["type"]!.GetValue<string>(), Is.EqualTo(type == typeof(bool) ? "boolean" : type == typeof(long) ? "integer" : "string"));
        Assert.That(option["format"]?.GetValue<string>(), Is.EqualTo(type == typeof(Uri) ? "uri" : null));
        Assert.That(option["pattern"] is not null, Is.EqualTo(type == typeof(TimeSpan)));
        if (value is null)
        {
            Assert.That(option["default"], Is.Null);
            Assert.That(description, Does.Contain("Default: ").Or.Contain("Required."));
        }
        else
        {
            // As the binder reads it.
            string text = option["default"]!.ToString();
            Assert.That(TypeDescriptor.GetConverter(type).ConvertFrom(null, CultureInfo.InvariantCulture, text), Is.EqualTo(value));
            Assert.That(description, Does.EndWith($"Default: {text}."));
        }
    }

    [TestCase("00:05:00", true)]
    [TestCase("1.00:00:00", true)]
    [TestCase("00:00:07.5", true)]
    [TestCase("0:30", true)]
    [TestCase("24:00:00", false, Description = "is read as 24 days")]
    [TestCase("30", false, Description = "is read as 30 days")]
    [TestCase("30s", false)]
    [TestCase("-00:05:00", false)]
    public void A_time_is_written_so_that_it_means_what_it_looks_like(string text, bool isTaken)
    {
        foreach (string pattern in s_section["properties"]!.AsObject().Select(static p => p.Value!["pattern"]?.GetValue<string>()).OfType<string>())
        {
            Assert.That(Regex.IsMatch(text, pattern), Is.EqualTo(isTaken));
            Assert.That(!isTaken || TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out _));
        }
    }

    /// <summary>A section in the section is a named account; anything else in it is a slip, which the binder would pass over in silence.</summary>
    [Test]
    public void What_is_no_option_is_the_section_of_another_account() =>
        Assert.That(s_section["additionalProperties"]!["$ref"]!.GetValue<string>(), Is.EqualTo("#/properties/" + SparkflyAuthOptions.SectionName));

    private static JsonObject Section()
    {
        string schema = File.ReadAllText(Path.Combine(Document.Root, "src", "Sparkfly.Auth.Handler", "ConfigurationSchema.json"));
        return JsonNode.Parse(schema)!["properties"]![SparkflyAuthOptions.SectionName]!.AsObject();
    }
}
