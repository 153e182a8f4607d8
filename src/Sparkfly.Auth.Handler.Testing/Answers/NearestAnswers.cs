namespace Sparkfly.Auth.Handler.Testing;

/// <summary>The answers that a request without one has come nearest to, with what keeps each from it.</summary>
internal sealed class NearestAnswers(FakeSparkflyRequest request, Uri? baseAddress, FakeSparkflyAnswer[] answers)
{
    private const int Most = 3;

    public override string ToString()
    {
        string[] lines = [.. Enumerable.Reverse(answers)
            .Select(a => (Answer: a, Fit: a.Compare(request, baseAddress)))
            .OrderBy(static a => a.Fit)
            .ThenBy(a => Distance(a.Answer.Address, request.RelativePath))
            .Take(Most)
            .Select(static a => $"{Environment.NewLine}  {a.Answer}: {Reason(a.Fit)}")];
        return lines.Length == 0 ? "No answer was given." : $"The nearest answers:{string.Concat(lines)}";

        static string Reason(AnswerFit fit) => fit switch
        {
            AnswerFit.UsedUp => "used up",
            AnswerFit.Condition => "its condition does not hold",
            AnswerFit.Query => "the query differs",
            AnswerFit.Method => "the method differs",
            AnswerFit.Path => "the path differs",
            _ => "its function returned null",
        };
    }

    /// <summary>How many characters must change to make one text the other (Levenshtein).</summary>
    private static int Distance(string one, string other)
    {
        int[] row = [.. Enumerable.Range(0, other.Length + 1)];
        for (int i = 1; i <= one.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= other.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(above, row[j - 1]) + 1, diagonal + (one[i - 1] == other[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }

        return row[^1];
    }
}
