namespace Sparkfly.Auth.Handler.Testing;

/// <summary>One step of an answer's sequence. Guarded by the answer's lock.</summary>
internal sealed class AnswerStep(Func<Arrival, CancellationToken, Task<HttpResponseMessage?>> make, string description, int? times)
{
    public Func<Arrival, CancellationToken, Task<HttpResponseMessage?>> Make => make;

    public string Description => description;

    public int Uses { get; set; }

    /// <summary>Whether another step, or none, is next: one without a number holds once where others follow, and for ever where it is the last.</summary>
    public bool IsUsedUp(bool isLast) => Uses >= (times ?? (isLast ? int.MaxValue : 1));
}
