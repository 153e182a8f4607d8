using System.Runtime.CompilerServices;

namespace Sparkfly.Auth.Handler;

/// <summary>Reads <see cref="HttpRequestMessage.Options"/> where somebody has set one.</summary>
/// <remarks>
/// The property creates its dictionary when it is first touched, 104 bytes a request, and has no way to ask whether it is there. So the field
/// behind it is read; on a runtime that names it otherwise, the property is, and all but the allocation stays as it is.
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
