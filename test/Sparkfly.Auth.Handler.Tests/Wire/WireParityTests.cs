using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Http;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>
/// Sections 4 and 6: beside a client without our handler, in one run, the token and Sparkfly's cookies are the only differences, for requests to
/// Sparkfly and to other hosts.
/// </summary>
[TestFixture("1.1")]
[TestFixture("2.0")]
public class WireParityTests(string protocol)
{
    private static readonly string[] s_hosts = [SideBySide.Home, SideBySide.Other];

    // Bodies that the platform can send again by itself, where a redirect asks for it.
    private static readonly Body[] s_redirected =
    [
        new("text", static () => new StringContent("a body with an ü in it")),
        new("form", static () => new FormUrlEncodedContent([new("name", "Free coffee & bagel")])),
        new("JSON", static () => JsonContent.Create(new { Id = 17 })),
        new("multipart", static () => new MultipartFormDataContent("a-boundary") { { new ByteArrayContent(Bodies.Bytes(5000)), "picture", "bagel.png" } }),
        new("seekable stream", static () => new StreamContent(new MemoryStream(Bodies.Bytes(20_000)))),
        new("own content", static () => new OwnContent(static (_, stream) => stream.Write(Bodies.Bytes(3000)))),
    ];

    private readonly Version _version = Version.Parse(protocol);

    [Test]
    public async Task Headers_of_the_callers_own_arrive_as_from_a_plain_client([ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);

        await sides.CompareAsync("headers", () =>
        {
            HttpRequestMessage request = sides.Request(HttpMethod.Get, host, "/v1.0/offers?x=%C3%BC&y=a%20b#fragment");
            request.Headers.Add("Accept", ["application/json", "text/plain"]);
            request.Headers.Add("X-Custom", ["one", "two"]);
            request.Headers.TryAddWithoutValidation("User-Agent", "an application (of a test)");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", "of-the-application");
            request.Headers.IfNoneMatch.Add(new EntityTagHeaderValue("\"tag\""));
            request.Headers.Range = new RangeHeaderValue(1, 100);
            return [request, sides.Request(HttpMethod.Head, host, "/"), sides.Request(HttpMethod.Delete, host, "/"), sides.Request(new HttpMethod("OWN"), host, "/")];
        });
    }

    [Test]
    public async Task Every_body_arrives_as_from_a_plain_client([ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        foreach (Body body in Bodies.All)
        {
            Transcript ours = await sides.CompareAsync(body.Name, () => [sides.Request(HttpMethod.Post, host, "/upload", body.Make())]);

            Assert.That(ours.Text, Does.Contain(" bytes "), body.Name);
        }
    }

    [Test]
    public async Task A_body_that_fails_or_has_another_length_than_it_says_fails_as_with_a_plain_client([ValueSource(nameof(s_hosts))] string host)
    {
        Body[] bodies =
        [
            new("throws", static () => new OwnContent(static (_, _) => throw new InvalidDataException("the body's own"))),
            new("throws later", static () => new OwnAsyncContent(static async (_, stream) =>
            {
                await stream.WriteAsync(Bodies.Bytes(10));
                throw new InvalidDataException("the body's own");
            })),
            new("shorter", static () => new OwnContent(static (_, stream) => stream.Write(Bodies.Bytes(5)), 10)),
            new("longer", static () => new OwnContent(static (_, stream) => stream.Write(Bodies.Bytes(15)), 10)),
        ];
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        foreach (Body body in bodies)
        {
            // What has arrived until then is a matter of time.
            string plain = (await sides.SendAsync(sides.Plain, sides.Request(HttpMethod.Post, host, "/upload", body.Make()))).Text.Split('\n')[0];
            string ours = (await sides.SendAsync(sides.Ours, sides.Request(HttpMethod.Post, host, "/upload", body.Make()))).Text.Split('\n')[0];

            Assert.That(ours, Is.EqualTo(plain).And.Contain("Exception"), body.Name);
        }
    }

    [Test]
    public async Task Redirects_with_every_method_and_body_are_followed_as_by_a_plain_client(
        [Values(300, 301, 302, 303, 307, 308)] int status, [ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        foreach (string target in s_hosts)
        {
            sides.Answer = async (context, arrived) =>
            {
                await arrived.ReadBodyAsync();
                await (context.Request.Path == "/last" ? context.Response.WriteAsync("the last")
                    : context.RedirectTo(status, context.Request.Path == "/first" ? $"http://{target}/second" : "/last"));
            };
            foreach (string method in (string[])["GET", "HEAD", "DELETE"])
            {
                await sides.CompareAsync($"{method} {target}", () => [sides.Request(new HttpMethod(method), host, "/first")]);
            }

            foreach (Body body in s_redirected)
            {
                Transcript ours = await sides.CompareAsync(
                    $"{body} {target}",
                    () => [sides.Request(HttpMethod.Post, host, "/first", body.Make()), sides.Request(HttpMethod.Put, host, "/first", body.Make())]);

                Assert.That(ours.Chains.Select(static c => c.Length), Is.All.EqualTo(3), $"{body} {target}");
            }
        }
    }

    /// <summary>Rule 6.2: a body that cannot be sent again gives the caller the 3xx; one that we keep is sent whole.</summary>
    [Test]
    public async Task A_redirected_body_arrives_whole_or_not_at_all([ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        sides.Answer = async (context, arrived) =>
        {
            await arrived.ReadBodyAsync();
            if (context.Request.Path == "/first")
            {
                await context.RedirectTo(307, "/second");
            }
        };

        Transcript ours = await sides.SendAsync(sides.Ours, sides.Request(HttpMethod.Post, host, "/first", new StreamContent(new OneWayStream(Bodies.Bytes(5000)))));

        Assert.That(ours.Text.Split('\n')[0], Does.Contain(host == SideBySide.Home ? " 200 " : " 307 "));
        Assert.That(
            ours.Chains.Single().Select(static a => a.ToString()),
            Has.Exactly(host == SideBySide.Home ? 2 : 1).Items.And.All.EndsWith($"5000 bytes {Upload.Digest(Bodies.Bytes(5000))}"));
    }

    [Test]
    public async Task Expect_100_continue_works_as_with_a_plain_client_and_a_body_of_which_nothing_was_read_is_redirected(
        [ValueSource(nameof(s_hosts))] string host, [Values("read", "refused", "redirected")] string how)
    {
        Body[] bodies =
        [
            .. s_redirected,
            new("one-way stream", static () => new StreamContent(new OneWayStream(Bodies.Bytes(20_000)))),
            new("own content that can be read once", static () => new OwnContent(static (time, stream) => stream.Write(time == 1 ? Bodies.Bytes(3000) : []))),
        ];
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        sides.Answer = async (context, arrived) =>
        {
            if (how == "refused")
            {
                context.Response.StatusCode = StatusCodes.Status413PayloadTooLarge;
            }
            else if (how == "redirected" && context.Request.Path == "/first")
            {
                await context.RedirectTo(307, $"http://{SideBySide.Other}/second");
            }
            else
            {
                await arrived.ReadBodyAsync();
            }
        };
        foreach (Body body in bodies)
        {
            Transcript ours = await sides.CompareAsync(body.Name, () =>
            {
                HttpRequestMessage request = sides.Request(HttpMethod.Post, host, "/first", body.Make());
                request.Headers.ExpectContinue = true;
                return [request];
            });

            Assert.That(ours.Chains.Single(), Has.Length.EqualTo(how == "redirected" ? 2 : 1), body.Name);
            Assert.That(ours.Chains.Single()[^1].ToString(), how == "refused" ? Does.EndWith("(unread)") : Does.Contain(" bytes "), body.Name);
        }
    }

    [Test]
    public async Task Cookies_of_other_hosts_are_kept_as_by_a_plain_client_and_Sparkflys_are_not()
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        sides.Answer = async (context, arrived) =>
        {
            context.Response.Headers.SetCookie = new string[] { $"session{context.Request.Path.Value![1..]}=of-{arrived.Host}; path=/", "=none" };
            if (context.Request.Path == "/there")
            {
                await context.RedirectTo(302, $"http://{(arrived.Host == SideBySide.Home ? SideBySide.Other : SideBySide.Home)}/back");
            }
        };

        Transcript ours = await sides.CompareAsync("cookies", () =>
        [
            sides.Request(HttpMethod.Get, SideBySide.Other, "/1"),
            sides.Request(HttpMethod.Get, SideBySide.Home, "/1"),
            With(sides.Request(HttpMethod.Get, SideBySide.Other, "/2"), "Cookie", "own=1"),
            With(sides.Request(HttpMethod.Get, SideBySide.Home, "/2"), "Cookie", "own=1"),
            sides.Request(HttpMethod.Get, SideBySide.Other, "/there"),
            sides.Request(HttpMethod.Get, SideBySide.Home, "/there"),
            sides.Request(HttpMethod.Get, SideBySide.Other, "/3"),
        ]);

        Arrived[] all = [.. ours.Chains.SelectMany(static c => c)];
        Assert.That(all.Where(static a => a.Host == SideBySide.Home).Select(static a => a.Cookie), Is.EqualTo((string?[])[null, "own=1", null, null]));
        Assert.That(all[^1].Cookie, Does.Contain("session1=of-other.test").And.Contain("sessionback=of-other.test"));
    }

    [Test]
    public async Task The_primary_handlers_credentials_are_used_as_by_a_plain_client([Values("of one user", "by address")] string kind, [Values] bool isAheadOfTime)
    {
        var user = new NetworkCredential("user", SecretSweep.NewSecret("password"));
        ICredentials credentials = kind == "of one user"
            ? user
            : new CredentialCache { { new Uri($"http://{SideBySide.Home}"), "Basic", user }, { new Uri($"http://{SideBySide.Other}"), "Basic", user } };
        await using SideBySide sides = await SideBySide.StartAsync(_version, handler => (handler.Credentials, handler.PreAuthenticate) = (credentials, isAheadOfTime));
        sides.Answer = async (context, arrived) =>
        {
            await arrived.ReadBodyAsync();
            if (context.Request.Path.StartsWithSegments("/to", out PathString target))
            {
                await context.RedirectTo(307, $"http:/{target}/page");
            }
            else if (context.Request.Headers.Authorization.Count == 0)
            {
                context.Response.StatusCode = StatusCodes.Status401Unauthorized;
                context.Response.Headers.WWWAuthenticate = "Basic realm=\"a\"";
            }
        };

        // Not a redirect within Sparkfly to a page that asks one user for a password: its 401 is one of Sparkfly's, and so renews the token. Redirects
        // first: what one user has sent ahead of time before, the platform's pool of connections repeats without asking, on a hop of ours too.
        await sides.CompareAsync("credentials", () =>
        [
            sides.Request(HttpMethod.Post, SideBySide.Other, $"/to/{SideBySide.Other}", new StringContent("a body")),
            sides.Request(HttpMethod.Post, SideBySide.Other, $"/to/{SideBySide.Home}", new StringContent("a body")),
            sides.Request(HttpMethod.Post, SideBySide.Home, $"/to/{SideBySide.Other}", new StringContent("a body")),
            sides.Request(HttpMethod.Get, SideBySide.Other, "/page"),
            sides.Request(HttpMethod.Post, SideBySide.Other, "/page", new StringContent("a body")),
            sides.Request(HttpMethod.Get, SideBySide.Home, "/page"),
            sides.Request(HttpMethod.Post, SideBySide.Home, "/page", new StringContent("a body")),
        ],
        // On .NET 8 the platform gives a redirect hop no trace headers of its own where it has one user's credentials. Ours have them.
        withTraces: Environment.Version.Major > 8 || kind == "by address");
        Assert.That(sides.TokenRequests, Is.EqualTo(1), "what a password answers is no 401 of the API's");
    }

    [Test]
    public async Task Responses_come_as_to_a_plain_client([ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version, static handler => handler.AutomaticDecompression = DecompressionMethods.All);
        sides.Answer = static async (context, _) =>
        {
            switch (context.Request.Path)
            {
                case "/compressed":
                    context.Response.Headers.ContentEncoding = "gzip";
                    await using (var zip = new System.IO.Compression.GZipStream(context.Response.Body, System.IO.Compression.CompressionLevel.Fastest))
                    {
                        await zip.WriteAsync("the text"u8.ToArray());
                    }

                    break;
                case "/trailers":
                    context.Response.DeclareTrailer("X-Trailer");
                    await context.Response.WriteAsync("the text");
                    context.Response.AppendTrailer("X-Trailer", "at the end");
                    break;
                default:
                    context.Response.StatusCode = int.Parse(context.Request.Path.Value![1..], System.Globalization.CultureInfo.InvariantCulture);
                    context.Response.Headers["X-Auth-Token"] = "the response's own";
                    break;
            }
        };

        await sides.CompareAsync("responses", () =>
            [.. ((string[])["/compressed", "/trailers", "/204", "/304", "/404", "/500", "/302"]).Select(path => sides.Request(HttpMethod.Get, host, path))]);
    }

    [Test]
    public async Task A_response_streams_to_the_caller_while_the_server_is_still_writing_it([ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        foreach (HttpClient client in (HttpClient[])[sides.Plain, sides.Ours])
        {
            var isRead = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            sides.Answer = async (context, _) =>
            {
                await context.Response.WriteAsync("first");
                await isRead.Task;
                await context.Response.WriteAsync("second");
            };
            using HttpRequestMessage request = sides.Request(HttpMethod.Get, host, "/");

            using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(TestApp.Patience);
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            char[] first = new char[5];
            await reader.ReadBlockAsync(first).AsTask().WaitAsync(TestApp.Patience);
            isRead.SetResult();

            Assert.That(new string(first), Is.EqualTo("first"));
            Assert.That(await reader.ReadToEndAsync().WaitAsync(TestApp.Patience), Is.EqualTo("second"));
        }
    }

    /// <summary>Rule 6.9.</summary>
    [Test]
    public async Task Each_hop_of_a_redirect_has_trace_headers_of_its_own_where_a_plain_clients_has(
        [Values] Tracing tracing, [Values] bool hasCallersOwn, [ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        sides.Answer = static (context, _) => context.Request.Path.Value switch
        {
            "/1" => context.RedirectTo(302, "/2"),
            "/2" => context.RedirectTo(307, $"http://{SideBySide.Other}/3"),
            "/3" => context.RedirectTo(302, $"http://{SideBySide.Home}/4"),
            _ => Task.CompletedTask,
        };

        // The token request has trace headers too.
        await sides.SendAsync(sides.Ours, sides.Request(HttpMethod.Get, SideBySide.Home, "/4"));
        Transcript ours = await tracing.RunAsync(() => sides.CompareAsync($"{tracing}", () =>
        {
            HttpRequestMessage request = sides.Request(HttpMethod.Get, host, "/1");
            return [hasCallersOwn ? With(request, "traceparent", Traces.Own) : request];
        }));

        string first = hasCallersOwn ? "own" : "t1-s1";
        int number = hasCallersOwn ? 0 : 1;
        string[] rest = [.. Enumerable.Range(1, 3).Select(n => tracing == Tracing.ListenerAlone ? $"t{number + n}-s{number + n}" : $"t1-s{number + n}")];
        Assert.That(ours.TraceShape, Is.EqualTo(
            tracing != Tracing.NothingWanted ? $"{first} {string.Join(' ', rest)}"
            : !hasCallersOwn ? "none none none none"
            : Environment.Version.Major < 10 ? "own none none none" : "own own own own"));
    }

    /// <summary>Rule 6.9.</summary>
    [Test]
    public async Task The_second_send_after_a_401_has_trace_headers_of_its_own_and_the_first_keeps_the_callers([Values] Tracing tracing, [Values] bool hasCallersOwn)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version);
        sides.Answer = async (context, arrived) =>
        {
            await arrived.ReadBodyAsync();
            context.Response.StatusCode = sides.IsGood(arrived) ? StatusCodes.Status200OK : StatusCodes.Status401Unauthorized;
        };
        await sides.SendAsync(sides.Ours, sides.Request(HttpMethod.Get, SideBySide.Home, "/"));
        sides.RevokeTokens();
        HttpRequestMessage request = sides.Request(HttpMethod.Post, SideBySide.Home, "/", new StringContent("a body"));

        Transcript ours = await tracing.RunAsync(() =>
            sides.SendAsync(sides.Ours, hasCallersOwn ? With(request, "traceparent", Traces.Own) : request));
        string[] left = [.. request.Headers.Select(static h => h.Key).Intersect(Traces.Names)];

        Assert.That(ours.Text.Split('\n')[0], Does.Contain(" 200 "));
        Assert.That(ours.TraceShape, Is.EqualTo((tracing, hasCallersOwn) switch
        {
            (Tracing.NothingWanted, false) => "none none",
            (Tracing.NothingWanted, true) => "own own",
            (_, true) => "own t1-s1",
            (Tracing.ListenerAlone, false) => "t1-s1 t2-s2",
            _ => "t1-s1 t1-s2",
        }));
        Assert.That(
            left,
            tracing == Tracing.NothingWanted && hasCallersOwn ? Is.EqualTo(Traces.Names[..1]) : Is.Empty,
            "none of the platform's stays, nor the caller's where the platform has replaced it");
    }

    /// <summary>Rule 6.9.</summary>
    [Test]
    public async Task Each_attempt_of_a_retry_above_has_trace_headers_of_its_own_and_none_stays_on_the_message(
        [Values] Tracing tracing, [Values] bool hasCallersOwn, [ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version, above: static client => client.AddStandardResilienceWithoutPauses());
        sides.Answer = (context, _) =>
        {
            context.Response.StatusCode = sides.Arrived.Count < 3 ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK;
            return Task.CompletedTask;
        };
        await tracing.RunAsync(() => sides.SendAsync(sides.Ours, sides.Request(HttpMethod.Get, SideBySide.Home, "/")));
        HttpRequestMessage request = sides.Request(HttpMethod.Get, host, "/");

        Transcript ours = await tracing.RunAsync(() =>
            sides.SendAsync(sides.Ours, hasCallersOwn ? With(request, "traceparent", Traces.Own) : request));

        Assert.That(ours.TraceShape, Is.EqualTo((tracing, hasCallersOwn) switch
        {
            (_, true) => "own own own",
            (Tracing.NothingWanted, _) => "none none none",
            (Tracing.ListenerAlone, _) => "t1-s1 t2-s2 t3-s3",
            _ => "t1-s1 t1-s2 t1-s3",
        }));
        Assert.That(request.Headers.Select(static h => h.Key).Intersect(Traces.Names), hasCallersOwn ? Is.EqualTo(Traces.Names[..1]) : Is.Empty);
    }

    [Test]
    public async Task A_primary_handler_without_a_propagator_leaves_trace_headers_alone([ValueSource(nameof(s_hosts))] string host)
    {
        await using SideBySide sides = await SideBySide.StartAsync(_version, static handler => handler.ActivityHeadersPropagator = null);
        sides.Answer = static (context, _) => context.Request.Path == "/1" ? context.RedirectTo(302, "/2") : Task.CompletedTask;

        Transcript ours = await sides.CompareAsync("no propagator", () =>
            [sides.Request(HttpMethod.Get, host, "/1"), With(sides.Request(HttpMethod.Get, host, "/1"), "traceparent", Traces.Own)]);

        Assert.That(ours.TraceShape, Is.EqualTo("none none own own"));
    }

    private static HttpRequestMessage With(HttpRequestMessage request, string header, string value)
    {
        request.Headers.TryAddWithoutValidation(header, value);
        return request;
    }
}
