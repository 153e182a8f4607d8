using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Benchmarks;

/// <summary>Requests a second over a socket, with the handler and without.</summary>
/// <remarks>
/// Kestrel answers on the loopback interface, in this process: the shortest way over a real wire that there is, so the handler's part is larger than
/// over any network. Both clients are <see cref="IHttpClientFactory"/>'s with the platform's own primary handler. The one without the handler sends
/// the same header, with a token that stays good, as a default header of the client. The two run in turns; each round gives a ratio.
/// </remarks>
internal static class Loopback
{
    public static async Task RunAsync(Run run)
    {
        var page = new Page(run, "loopback", "Over a socket");
        page.Text(
            """
            Requests a second against Kestrel on the loopback interface, in the same process, through `HttpClient` and the platform's own primary
            handler: with the handler, and without it (the same header as a default header of the client). The two run in turns; ratios are those of
            the rounds: their median, and the range in which the middle half lies.
            """);
        var rows = new List<string[]>();
        var bars = new List<Bar>();
        foreach ((HttpProtocols protocol, Version version) in ((HttpProtocols, Version)[])
            [(HttpProtocols.Http1, HttpVersion.Version11), (HttpProtocols.Http2, HttpVersion.Version20)])
        {
            StandInServer server = await StandInServer.StartAsync(new StandInOptions { Protocols = protocol }).ConfigureAwait(false);
            await using ConfiguredAsyncDisposable stopping = server.ConfigureAwait(false);
            await using ServiceProvider services = Services(server, version);
            IHttpClientFactory clients = services.GetRequiredService<IHttpClientFactory>();
            foreach (int callers in (int[])[1, 16])
            {
                Rounds[] measured = await Rounds.MeasureAsync(
                    [
                        Load(clients, "without", callers),
                        Load(clients, "with", callers),
                    ],
                    run.Times(full: 24, quick: 2),
                    TimeSpan.FromMilliseconds(run.Times(full: 500, quick: 100))).ConfigureAwait(false);
                (double low, double high) = measured[1].Spread;
                string name = $"HTTP/{version}, {(callers == 1 ? "1 caller" : $"{callers} callers")}";
                rows.Add([
                    name, Figures.Whole(measured[0].Rate), Figures.Whole(measured[1].Rate),
                    Figures.Ratio(measured[1].Ratio), $"{Figures.Ratio(low)}–{Figures.Ratio(high)}", Figures.Whole(measured[1].Ratios.Length)]);
                bars.Add(new Bar("", name, measured[1].Ratio, Figures.Ratio(measured[1].Ratio), true, low, high));
            }
        }

        page.Table(["protocol and callers", "requests/s without", "with", "relative", "middle half", "rounds"], rows);
        page.Plot("throughput", new BarChart("Requests a second over a socket, with the handler", "relative to without it", bars) { Reference = 1 });
        page.Save();
    }

    private static ServiceProvider Services(StandInServer server, Version version)
    {
        var services = new ServiceCollection();
        services.AddSparkflyAuth(options =>
        {
            options.BaseAddress = server.BaseAddress;
            options.Identity = server.Options.Identity;
            options.Key = server.Options.Key;
        }).ConfigureAuthClient(auth => auth.ConfigureHttpClient(Speak));
        services.AddHttpClient("with").AddSparkflyAuthHandler().ConfigureHttpClient(Speak);
        services.AddHttpClient("without", client =>
        {
            client.BaseAddress = server.BaseAddress;
            client.DefaultRequestHeaders.Add("X-Auth-Token", server.IssueToken());
        }).ConfigureHttpClient(Speak);
        return services.BuildServiceProvider();

        void Speak(HttpClient client)
        {
            client.DefaultRequestVersion = version;
            client.DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        }
    }

    private static Load Load(IHttpClientFactory clients, string name, int callers)
    {
        HttpClient client = clients.CreateClient(name);
        return new Load(name, name == "with", length => RateAsync(client, callers, length));
    }

    private static async Task<double> RateAsync(HttpClient client, int callers, TimeSpan length)
    {
        var offers = new Uri(client.BaseAddress!, "offers");
        long begin = Stopwatch.GetTimestamp();
        long[] requests = await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            long own = 0;
            for (; Stopwatch.GetElapsedTime(begin) < length; own++)
            {
                await client.GetByteArrayAsync(offers).ConfigureAwait(false);
            }

            return own;
        }))).ConfigureAwait(false);
        return requests.Sum() / Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }
}
