using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler;

/// <summary>Reads <see cref="HttpRequestMessage.Options"/> without creating them.</summary>
/// <remarks>
/// The property creates its dictionary on first use, 104 bytes for each request, and cannot tell whether it exists. So this reads the field behind
/// it. On a runtime where the field has another name it reads the property, which costs the allocation.
/// </remarks>
internal static class RequestOptionsPeek
{
    private static readonly bool s_canPeek = CanPeek();

    /// <summary>The options of a message; null where there are none.</summary>
    public static IDictionary<string, object?>? Of(HttpRequestMessage request) => s_canPeek ? Field(request) : request.Options;

    private static bool CanPeek()
    {
        try
        {
            using var request = new HttpRequestMessage();
            return Field(request) is null && request.Options is { } options && ReferenceEquals(Field(request), options);
        }
        catch (MissingFieldException)
        {
            return false;
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_options")]
    private static extern ref HttpRequestOptions? Field(HttpRequestMessage request);
}
