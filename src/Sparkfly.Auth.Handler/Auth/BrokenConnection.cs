using System.Net.Sockets;

namespace Sparkfly.Auth.Handler;

/// <summary>Tells a connection that broke before a response from one that could not be made.</summary>
internal static class BrokenConnection
{
    /// <summary>Whether the exception says that: not a refused connection, not a name that is unknown, not a timeout.</summary>
    public static bool IsCauseOf(Exception exception) => exception switch
    {
        HttpRequestException { HttpRequestError: HttpRequestError.ResponseEnded } => true,
        HttpRequestException { HttpRequestError: HttpRequestError.Unknown or HttpRequestError.ConnectionError or HttpRequestError.SecureConnectionError } http =>
            http.InnerException is { } inner && IsBreak(inner),
        _ => IsBreak(exception),
    };

    private static bool IsBreak(Exception exception) => exception switch
    {
        HttpIOException http => http.HttpRequestError is HttpRequestError.ResponseEnded or HttpRequestError.Unknown,
        IOException io => io.InnerException is not SocketException socket || IsBreak(socket),
        SocketException socket => socket.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown,
        _ => false,
    };
}
