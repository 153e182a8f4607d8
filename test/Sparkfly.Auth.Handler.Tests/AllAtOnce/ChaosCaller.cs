using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Json;
using System.Text;
using Polly;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Makes calls as an application does, and checks what it gets: its own response, or an exception that says what happened.</summary>
internal sealed class ChaosCaller(ChaosTraffic traffic, ChaosTally tally)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(100);

    private readonly ConcurrentDictionary<ChaosCall, long> _since = new();

    /// <summary>Reports calls that have not ended, in real time.</summary>
    public void ReportHanging()
    {
        foreach ((ChaosCall call, long since) in _since)
        {
            if (Stopwatch.GetElapsedTime(since) > s_patience && _since.TryRemove(call, out _))
            {
                tally.Problem($"{call} hangs");
            }
        }
    }

    public async Task CallAsync(ChaosInstance instance, ChaosClient client, string account, string kind, string id, Random random)
    {
        ChaosLedger ledger = instance.LedgerOf(instance.Accounts[account]);
        var call = new ChaosCall(id, ledger, kind);
        bool isCancelled = random.Next(100) == 0;
        bool isSync = client is ChaosClient.Copying or ChaosClient.Http1 && random.Next(50) == 0;
        using HttpRequestMessage request = NewRequest(call, client, random);
        if (account.Length > 0 && client != ChaosClient.OtherAccount)
        {
            request.SetSparkflyAccount(account);
        }

        traffic.Calls[id] = call;
        _since[call] = Stopwatch.GetTimestamp();
        using var cancellation = new CancellationTokenSource();
        try
        {
            HttpClient http = instance.Client(client);
            Task<HttpResponseMessage> sending = isSync
                ? BothWays.OnThread(() => http.Send(request, cancellation.Token))
                : http.SendAsync(request, cancellation.Token);
            if (isCancelled)
            {
                await Task.Yield();
                await cancellation.CancelAsync();
            }

            using HttpResponseMessage response = await sending;
            string answered = await response.Content.ReadAsStringAsync(CancellationToken.None);
            tally.Count($"{(int)response.StatusCode}");
            if (answered != id)
            {
                tally.Problem($"{call} got the answer '{answered}'");
            }
        }
        catch (Exception exception)
        {
            string? expected = Explain(exception, call, instance, isCancelled, cancellation.Token);
            tally.Count(expected ?? "unexplained");
            if (expected is null)
            {
                tally.Problem($"{call} of {client}, account '{account}': {exception}");
            }
        }
        finally
        {
            _since.TryRemove(call, out _);
            traffic.Calls.TryRemove(id, out _);
        }

        if (InMemorySparkfly.TokenOf(request) is not null)
        {
            tally.Problem($"{call} came back with its token");
        }
    }

    private static HttpRequestMessage NewRequest(ChaosCall call, ChaosClient client, Random random)
    {
        // A retry above sends the same content again, so that must be one that can be read twice.
        int body = random.Next(client is ChaosClient.Retrying or ChaosClient.Hedging ? 2 : 4);
        var request = new HttpRequestMessage(body == 0 ? HttpMethod.Get : HttpMethod.Post, call.Address)
        {
            Content = body switch
            {
                0 => null,
                1 => new StringContent(call.Id),
                2 => JsonContent.Create(new Once<string>([call.Id])),
                _ => new StreamContent(new OneWayStream(Encoding.UTF8.GetBytes(call.Id))),
            },
        };
        if (client == ChaosClient.Http2)
        {
            (request.Version, request.VersionPolicy) = (System.Net.HttpVersion.Version20, HttpVersionPolicy.RequestVersionExact);
        }

        return request;
    }

    /// <summary>What an exception says to its caller; null where that is not clear, or did not happen.</summary>
    private static string? Explain(Exception exception, ChaosCall call, ChaosInstance instance, bool isCancelled, CancellationToken cancellationToken) =>
        exception switch
        {
            SparkflyAuthenticationException { RetryAt: not null } failure when failure.Message.Contains("/auth", StringComparison.Ordinal) => "without a token",
            HttpRequestException and not SparkflyAuthenticationException when call.Kind == "reset" => "connection lost",
            OperationCanceledException cancelled when isCancelled && cancelled.CancellationToken == cancellationToken => "cancelled",
            ObjectDisposedException when instance.IsEnding => "container disposed",

            // The platform disposes of a response's content where its caller cancels at the very end of its buffering.
            ObjectDisposedException { ObjectName: "System.Net.Http.StringContent" or "System.Net.Http.HttpConnectionResponseContent" } when isCancelled => "cancelled",
            ExecutionRejectedException => $"{exception.GetType().Name} of the resilience handler",
            _ => null,
        };
}
