using System.Text.Json;

namespace Sparkfly.Auth.Handler.Testing;

/// <summary>Compares JSON by its values: the order of an object's members and white space do not count.</summary>
internal static class JsonPattern
{
    /// <summary>Whether a body is JSON that is the same, or has at least the same members.</summary>
    public static bool Fits(JsonElement expected, string body, bool isPartial)
    {
        try
        {
            using JsonDocument actual = JsonDocument.Parse(body);
            return Fits(expected, actual.RootElement, isPartial);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool Fits(JsonElement expected, JsonElement actual, bool isPartial)
    {
        if (expected.ValueKind != actual.ValueKind)
        {
            return false;
        }

        switch (expected.ValueKind)
        {
            case JsonValueKind.Object:
                return (isPartial || expected.EnumerateObject().Count() == actual.EnumerateObject().Count()) &&
                    expected.EnumerateObject().All(m => actual.TryGetProperty(m.Name, out JsonElement value) && Fits(m.Value, value, isPartial));
            case JsonValueKind.Array:
                return expected.GetArrayLength() == actual.GetArrayLength() &&
                    expected.EnumerateArray().Zip(actual.EnumerateArray()).All(pair => Fits(pair.First, pair.Second, isPartial));
            case JsonValueKind.String:
                return expected.GetString() == actual.GetString();
            case JsonValueKind.Number:
                return expected.TryGetDecimal(out decimal one) && actual.TryGetDecimal(out decimal other)
                    ? one == other
                    : expected.GetRawText() == actual.GetRawText();
            default:
                return true;
        }
    }
}
