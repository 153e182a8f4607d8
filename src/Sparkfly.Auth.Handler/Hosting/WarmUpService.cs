using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Sparkfly.Auth.Handler;

/// <summary>How one account is to be warmed up.</summary>
/// <param name="IsRequired">Whether the start fails where there is no token.</param>
/// <param name="Timeout">How long the start waits; null for as long as the token request takes.</param>
internal sealed record WarmUp(bool IsRequired, TimeSpan? Timeout);

/// <summary>The accounts to warm up, by name.</summary>
internal sealed class WarmUpOptions
{
    public Dictionary<string, WarmUp> Accounts { get; } = [];
}

/// <summary>
/// Connects a fleet's cache, and gets tokens, while the host starts: after its options are validated, before any service is started, the server
/// among them. One for all accounts, which are warmed up side by side, also where the host starts its services one after another.
/// </summary>
/// <param name="accounts">The accounts.</param>
/// <param name="cache">The fleet's cache; null where there is none.</param>
/// <param name="startTelemetry">Starts what listens to traces and metrics, which a host starts with its services.</param>
/// <param name="options">The accounts to warm up.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
internal sealed class WarmUpService(
    SparkflyAccounts accounts,
    BoundedCache? cache,
    Action startTelemetry,
    IOptions<WarmUpOptions> options,
    TimeProvider time,
    ILogger logger) : IHostedLifecycleService
{
    // A start that says nothing for longer than this looks as if it hung.
    private static readonly TimeSpan s_noticeable = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        startTelemetry();
        if (cache is not null)
        {
            await ConnectAsync(cache, cancellationToken).ConfigureAwait(false);
        }

        await Task.WhenAll(options.Value.Accounts.Select(account => WarmUpAsync(account.Key, account.Value, cancellationToken))).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // No failure of the cache stops the host: instances then ask for their own tokens.
    private async Task ConnectAsync(BoundedCache cache, CancellationToken cancellationToken)
    {
        long start = time.GetTimestamp();
        using var connected = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task connecting = cache.ConnectAsync(cancellationToken);
        bool isNoticeable = await Task.WhenAny(connecting, Task.Delay(s_noticeable, time, connected.Token)).ConfigureAwait(false) != connecting;
        await connected.CancelAsync().ConfigureAwait(false);
        if (isNoticeable)
        {
            Log.WaitingForCache(logger, BoundedCache.ConnectionAtStart);
        }

        try
        {
            await connecting.ConfigureAwait(false);
            if (isNoticeable)
            {
                Log.CacheConnected(logger, time.GetElapsedTime(start));
            }
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            Log.CacheNotConnected(logger, time.GetElapsedTime(start), exception);
        }
    }

    private async Task WarmUpAsync(string account, WarmUp warmUp, CancellationToken cancellationToken)
    {
        try
        {
            await TimeLimit.RunAsync(
                $"{AccountName.Label(account)} had no token within {warmUp.Timeout:c}, for which the start of the host waits. The token request goes on.",
                bound => accounts.GetRegistered(account)!.Tokens.GetTokenAsync(bound).AsTask(),
                warmUp.Timeout ?? Timeout.InfiniteTimeSpan,
                time,
                cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (!warmUp.IsRequired && !cancellationToken.IsCancellationRequested)
        {
            Log.WarmUpFailed(logger, AccountName.Shown(account), exception.Message);
        }
    }
}
