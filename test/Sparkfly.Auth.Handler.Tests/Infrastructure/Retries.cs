using System.Collections.Concurrent;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

internal static class Retries
{
    /// <summary>The platform's standard resilience handler, without its pauses between retries.</summary>
    public static IHttpClientBuilder AddStandardResilienceWithoutPauses(this IHttpClientBuilder client)
    {
        client.AddStandardResilienceHandler(
            static options => options.Retry.DelayGenerator = static _ => ValueTask.FromResult<TimeSpan?>(TimeSpan.Zero));
        return client;
    }

    /// <summary>Lets the server answer 503 to the first request with a good token.</summary>
    public static ConcurrentQueue<Seen> RecordAndBeUnavailableOnce(this StandInServer server)
    {
        int good = 0;
        return server.Record(context =>
        {
            if (!server.IsGood(context.Request.Headers["X-Auth-Token"]) || Interlocked.Increment(ref good) > 1)
            {
                return false;
            }

            context.Response.StatusCode = 503;
            context.Response.Headers.RetryAfter = "0";
            return true;
        });
    }
}
