using Microsoft.Extensions.Logging.Abstractions;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What is wrong with a cache.</summary>
internal enum CacheTrouble
{
    Nothing,
    DropsWrites,
    DropsLeases,
    LagsBehind,
    LosesKeys,
    StrangerWritesLeases,
    OldLeasesArePutBack,
    KeepsLeasesForEver,
    Throws,
    Hangs,
    FailsNowAndThen,
    Everything,
}

/// <summary>
/// The real token source and token state of several instances on one thread: a queue of events is the only thing that makes time pass, operations of
/// the cache and <c>POST</c>s take random times, and each is one interleaving. Nothing here waits, and a seed repeats it.
/// </summary>
internal sealed class FleetWorld
{
    /// <summary>More in one go would be a loop: a look at token and lease every 200 milliseconds for ten seconds, and what taking the lease needs.</summary>
    public const int MostOperations = 130;

    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly PriorityQueue<Action, (long At, int Number)> _events = new();
    private readonly HashSet<string> _good = [];
    private readonly Random _random;
    private int _number;

    public FleetWorld(int seed, CacheTrouble trouble, AccountSettings settings, TimeSpan[] clocks)
    {
        _random = new Random(seed);
        Settings = settings;
        Store = new SimulatedStore(this, trouble);
        Nodes = [.. clocks.Select(ahead => new Node(this, ahead))];
    }

    public AccountSettings Settings { get; }

    public SimulatedStore Store { get; }

    public Node[] Nodes { get; }

    public long Now { get; private set; }

    public int Posts { get; set; }

    public int TokenLength { get; init; } = 16;

    /// <summary>How many operations may still take twenty times as long.</summary>
    public int HoldUps { get; set; } = int.MaxValue;

    /// <summary>How long an operation of the cache takes at most, in milliseconds.</summary>
    public int Slowness { get; init; } = 40;

    /// <summary>How long a <c>POST</c> takes at most, in milliseconds.</summary>
    public int LongestPost { get; init; } = 2000;

    public List<string> Violations { get; } = [];

    public void Revoke() => _good.Clear();

    public bool IsGood(SparkflyToken token) => _good.Contains(token.Value);

    public string Issue()
    {
        string token = $"{Posts}".PadLeft(TokenLength, 't');
        _good.Add(token);
        return token;
    }

    public bool Chance(double probability) => _random.NextDouble() < probability;

    public TimeSpan UpTo(int milliseconds) => TimeSpan.FromTicks(_random.NextInt64(milliseconds * TimeSpan.TicksPerMillisecond + 1));

    public void At(TimeSpan delay, Action action) => _events.Enqueue(action, (Now + delay.Ticks, _number++));

    /// <summary>Lets all instances do this, beginning within the time, and runs until each is done or has gone.</summary>
    /// <returns>How long the slowest took, and the <c>POST</c>s of all.</returns>
    public (TimeSpan Longest, int Posts) Run(Func<Node, Task> act, int spread = 300)
    {
        int before = Posts;
        long longest = 0;
        var running = new List<(Node Node, Task Task)>();
        foreach (Node node in Nodes.Where(static n => !n.IsGone))
        {
            At(UpTo(spread), () => running.Add((node, TimedAsync(node))));
        }

        int expected = Nodes.Count(static n => !n.IsGone);
        while (running.Count < expected || running.Any(static r => !r.Task.IsCompleted && !r.Node.IsGone))
        {
            if (!_events.TryDequeue(out Action? next, out (long At, int) due) || Violations.Count > 0)
            {
                Violations.Add("a caller waits for nothing");
                break;
            }

            Now = due.At;
            next();
        }

        foreach ((Node node, Task task) in running.Where(static r => r.Task.IsFaulted))
        {
            Violations.Add(task.Exception!.ToString());
        }

        return (TimeSpan.FromTicks(longest), Posts - before);

        async Task TimedAsync(Node node)
        {
            long start = Now;
            await act(node).ConfigureAwait(false);
            longest = Math.Max(longest, Now - start);
        }
    }

    public void Pass(TimeSpan time)
    {
        long end = Now + time.Ticks;
        while (_events.TryPeek(out _, out (long At, int) due) && due.At <= end)
        {
            Now = due.At;
            _events.Dequeue()();
        }

        Now = end;
    }

    /// <summary>One instance: its clock, its state, its source.</summary>
    public sealed class Node : ITokenSource
    {
        private readonly FleetWorld _world;
        private readonly TokenState _state;
        private readonly FleetTokenSource _source;

        public Node(FleetWorld world, TimeSpan ahead)
        {
            _world = world;
            Clock = new NodeClock(world, this, ahead);
            _state = new TokenState(Clock, new Random(0));
            _source = new FleetTokenSource("", world.Store.For(this), this, Clock, NullLogger.Instance);
        }

        public NodeClock Clock { get; }

        /// <summary>Its process has ended: nothing that it waits for comes.</summary>
        public bool IsGone { get; set; }

        public int Operations { get; set; }

        public SparkflyToken? Token { get; private set; }

        public TimeSpan LongestObtain { get; private set; }

        /// <summary>A call as the handler makes it: up to three sends.</summary>
        /// <param name="isRejected">Whether this endpoint rejects every token.</param>
        public async Task<bool> CallAsync(bool isRejected = false)
        {
            Token = await GetAsync(static (state, settings, _) => state.Get(settings), null).ConfigureAwait(false);
            for (int sends = 1; sends < 3 && (isRejected || !_world.IsGood(Token)); sends++)
            {
                SparkflyToken next = await GetAsync(static (state, settings, rejected) => state.Renew(settings, rejected!), Token).ConfigureAwait(false);
                if (next.IsSameAs(Token))
                {
                    return false;
                }

                Token = next;
                if (!next.IsShared)
                {
                    break;
                }
            }

            return !isRejected && _world.IsGood(Token);
        }

        /// <summary>The <c>POST</c>.</summary>
        async Task<TokenResponse> ITokenSource.ObtainAsync(TokenRequest request, CancellationToken cancellationToken)
        {
            DateTimeOffset sentAt = Clock.GetUtcNow();
            _world.Posts++;
            _world.Store.FirstLeaseIsOf?.Invoke(this);
            _world.Store.FirstLeaseIsOf = null;
            await Task.Delay(_world.UpTo(_world.LongestPost), Clock, CancellationToken.None).ConfigureAwait(false);
            return TokenResponse.Of(new SparkflyToken(_world.Issue(), sentAt, sentAt + request.Settings.UsableLife));
        }

        // What SparkflyTokenProvider does for one caller, without the thread pool.
        private async Task<SparkflyToken> GetAsync(Func<TokenState, AccountSettings, SparkflyToken?, TokenDecision> decide, SparkflyToken? rejected)
        {
            for (int decisions = 1; ; decisions++)
            {
                if (decisions > 3)
                {
                    _world.Violations.Add("a caller decides without end");
                    throw new InvalidOperationException();
                }

                TokenDecision decision = decide(_state, _world.Settings, rejected);
                if (decision.Token is { } token && !decision.MustStart)
                {
                    return token;
                }

                Operations = 0;
                long start = _world.Now;
                TokenRequest request = decision.Pending!.Request;
                TokenResponse response = await _source.ObtainAsync(request, CancellationToken.None).ConfigureAwait(false);
                TimeSpan took = TimeSpan.FromTicks(_world.Now - start);
                LongestObtain = took > LongestObtain ? took : LongestObtain;
                TokenOutcome outcome = _state.Complete(request, response);
                if (Clock.GetUtcNow() < outcome.Token!.ExpiresAt)
                {
                    return outcome.Token;
                }
            }
        }
    }

    /// <summary>The clock of an instance, which may be apart from that of others; time passes on all alike.</summary>
    public sealed class NodeClock(FleetWorld world, Node node, TimeSpan ahead) : TimeProvider
    {
        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => s_start + ahead + TimeSpan.FromTicks(world.Now);

        public override long GetTimestamp() => world.Now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new Timer();
            world.At(dueTime, () =>
            {
                if (!timer.IsDisposed && !node.IsGone)
                {
                    callback(state);
                }
            });
            return timer;
        }

        private sealed class Timer : ITimer
        {
            public bool IsDisposed { get; private set; }

            public bool Change(TimeSpan dueTime, TimeSpan period) => throw new NotSupportedException();

            public void Dispose() => IsDisposed = true;

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }

    /// <summary>What the instances share, with its trouble.</summary>
    public sealed class SimulatedStore(FleetWorld world, CacheTrouble trouble)
    {
        private static readonly byte[] s_junk = Bodies.Bytes(61);

        // Every version of each key, so that reads can lag behind.
        private readonly Dictionary<string, List<(long At, byte[]? Value, long Until)>> _keys = [];

        public FleetWorld World => world;

        /// <summary>Told of the instance that takes the lease first, when it asks.</summary>
        public Action<Node>? FirstLeaseIsOf { get; set; }

        public CacheTrouble Trouble { get; set; } = trouble;

        private CacheTrouble Now => Trouble == CacheTrouble.Everything ? (CacheTrouble)(int)(world.UpTo(1).Ticks % (int)CacheTrouble.Everything) : Trouble;

        public ISharedCache For(Node node) => new View(this, node);

        public void Put(string key, byte[]? value, TimeSpan lifetime) => Versions(key).Add((world.Now, value, world.Now + lifetime.Ticks));

        private List<(long At, byte[]? Value, long Until)> Versions(string key) =>
            _keys.TryGetValue(key, out var versions) ? versions : _keys[key] = [];

        private byte[]? Read(string key, CacheTrouble trouble)
        {
            long asOf = world.Now - (trouble == CacheTrouble.LagsBehind ? TimeSpan.FromMilliseconds(400).Ticks : 0);
            bool isLease = key.EndsWith(":lease", StringComparison.Ordinal);
            List<(long At, byte[]? Value, long Until)> versions = Versions(key);
            if (trouble == CacheTrouble.OldLeasesArePutBack && isLease && versions.Count > 0 && world.Chance(0.5))
            {
                return versions[(int)(world.UpTo(1000).Ticks % versions.Count)].Value;
            }

            int last = versions.FindLastIndex(v => v.At <= asOf);
            return last < 0 || (versions[last].Until <= world.Now && !(isLease && trouble == CacheTrouble.KeepsLeasesForEver)) ? null : versions[last].Value;
        }

        private void Write(string key, byte[] value, TimeSpan lifetime, CacheTrouble trouble)
        {
            bool isLease = key.EndsWith(":lease", StringComparison.Ordinal);
            if (trouble == CacheTrouble.DropsWrites || (trouble == CacheTrouble.DropsLeases && isLease))
            {
                return;
            }

            Put(key, value, lifetime);
            if (trouble == CacheTrouble.LosesKeys)
            {
                world.At(world.UpTo(300), () => Put(key, null, lifetime));
            }
            else if (trouble == CacheTrouble.StrangerWritesLeases && isLease)
            {
                world.At(world.UpTo(200), () => Put(key, s_junk, TimeSpan.FromHours(1)));
            }
        }

        private sealed class View(SimulatedStore store, Node node) : ISharedCache
        {
            private readonly FleetWorld _world = store.World;

            public bool IsOpen => false;

            public Task<byte[]?> GetAsync(string key, TimeSpan timeout, CancellationToken cancellationToken) =>
                OperateAsync(timeout, trouble => store.Read(key, trouble));

            public Task SetAsync(string key, byte[] value, TimeSpan lifetime, TimeSpan timeout, CancellationToken cancellationToken) =>
                OperateAsync(timeout, trouble =>
                {
                    store.Write(key, value, lifetime, trouble);
                    return null;
                });

            private Task<byte[]?> OperateAsync(TimeSpan timeout, Func<CacheTrouble, byte[]?> operate)
            {
                if (++node.Operations > MostOperations)
                {
                    _world.Violations.Add("operations of the cache without end");
                }

                CacheTrouble trouble = store.Now;
                if (trouble == CacheTrouble.Throws || (trouble == CacheTrouble.FailsNowAndThen && _world.Chance(0.1)))
                {
                    throw new InvalidOperationException("the cache is gone");
                }

                var completion = new TaskCompletionSource<byte[]?>();
                void Complete(Action complete, TimeSpan after) => _world.At(after, () =>
                {
                    if (!node.IsGone)
                    {
                        complete();
                    }
                });

                // Now and then one is held up for long. It takes effect somewhere on its way, also where nobody waits for it any more.
                bool isHeldUp = _world.Chance(0.02) && _world.HoldUps-- > 0;
                TimeSpan takes = _world.UpTo(isHeldUp ? 20 * _world.Slowness : _world.Slowness);
                TimeSpan effect = takes * 0.5;
                byte[]? result = null;
                if (takes == TimeSpan.Zero && trouble != CacheTrouble.Hangs)
                {
                    return Task.FromResult(operate(trouble));
                }

                if (trouble != CacheTrouble.Hangs)
                {
                    _world.At(effect, () => result = operate(trouble));
                }

                if (trouble == CacheTrouble.Hangs || takes > timeout)
                {
                    Complete(() => completion.TrySetException(new TimeoutException()), timeout);
                }
                else
                {
                    Complete(() => completion.TrySetResult(result), takes);
                }

                return completion.Task;
            }
        }
    }
}
