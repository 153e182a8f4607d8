namespace Sparkfly.Auth.Handler.Tests;

internal static class Thrown
{
    /// <summary>The exception that an action must end with, of exactly this type, in time.</summary>
    public static async Task<TException> By<TException>(Func<Task> act)
        where TException : Exception
    {
        try
        {
            await act().WaitAsync(TestApp.Patience);
        }
        catch (TException exception) when (exception.GetType() == typeof(TException))
        {
            return exception;
        }

        throw new AssertionException($"No {typeof(TException).Name} was thrown.");
    }
}
