namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Draws what is injected next, at random but so that nothing is left out: a shuffled deck, shuffled again when it is used up. Thread-safe.</summary>
internal sealed class ChaosDeck<T>(Random random, IEnumerable<(T What, int Times)> cards)
{
    private readonly Lock _lock = new();
    private readonly T[] _cards = [.. cards.SelectMany(static c => Enumerable.Repeat(c.What, c.Times))];
    private int _left;

    public T Draw()
    {
        lock (_lock)
        {
            if (_left == 0)
            {
                random.Shuffle(_cards);
                _left = _cards.Length;
            }

            return _cards[--_left];
        }
    }
}
