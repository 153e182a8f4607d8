namespace Sparkfly.Auth.Handler.Testing;

/// <summary>What keeps an answer from being for a request, what is nearest to a fit first.</summary>
internal enum AnswerFit
{
    Fits,
    UsedUp,
    Condition,
    Query,
    Method,
    Path,
}
