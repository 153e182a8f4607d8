using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Sparkfly.Auth.Handler.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>The fake that applications test with: what it answers, and what it remembers.</summary>
public class FakeSparkflyTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 12, 30, 0, TimeSpan.Zero));
    private readonly FakeSparkfly _sparkfly;

    // Most of these tests are about tokens, and need no answer.
    public FakeSparkflyTests() => _sparkfly = new FakeSparkfly(_time) { UnansweredStatus = HttpStatusCode.NotFound };

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_client_of_it_asks_for_a_token_once_and_gets_what_the_test_says(Sending sending)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", """{"offers":[17]}""");
        using HttpClient client = _sparkfly.CreateClient();

        using HttpResponseMessage first = await client.GetAs(sending, "offers?store=3");
        using HttpResponseMessage second = await client.GetAs(sending, "offers");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(await first.Content.ReadAsStringAsync(), Is.EqualTo("""{"offers":[17]}"""));
            Assert.That(first.Content.Headers.ContentType?.MediaType, Is.EqualTo("application/json"));
            Assert.That(second.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(1));
            Assert.That(_sparkfly.Requests.Select(static r => r.ToString()), Is.EqualTo((string[])[
                "GET https://api-staging.sparkfly.com/v1.0/offers?store=3", "GET https://api-staging.sparkfly.com/v1.0/offers"]));
            Assert.That(_sparkfly.Requests.Select(static r => r.RelativePath), Is.All.EqualTo("offers"));
            Assert.That(_sparkfly.Requests.Select(static r => r.Identity), Is.All.EqualTo("fake-identity"));
        }
    }

    [Test]
    public async Task A_token_request_is_answered_as_the_service_answers_it_traps_and_all()
    {
        using HttpResponseMessage response = await AskForTokenAsync("17", "key");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NoContent));
            Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.Empty);
            Assert.That(TokenOf(response), Does.Match("^[0-9a-f]{64}$"));
            Assert.That(Raw(response, "Date"), Is.EqualTo("2026-01-01T12:30:00Z"), "RFC 3339, on the fake's clock");
            Assert.That(response.Headers.Date, Is.Null, "no HTTP date");
            Assert.That(Raw(response, "Cache-Control"), Is.EqualTo("max-age=0, private, must-revalidate"));
            Assert.That(Raw(response, "Set-Cookie"), Does.StartWith("_session_id="));
        }
    }

    [Test]
    public async Task The_package_s_token_request_is_the_service_s()
    {
        using HttpClient client = _sparkfly.CreateClient();
        (await client.GetAsync("offers")).Dispose();

        FakeSparkflyRequest request = _sparkfly.TokenRequests.Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(request.Method, Is.EqualTo(HttpMethod.Post));
            Assert.That(request.Address, Is.EqualTo(new Uri("https://api-staging.sparkfly.com/v1.0/auth")));
            Assert.That(request.Headers, Does.ContainKey("Content-Length").WithValue("0"));
            Assert.That(request.Headers["accept"], Is.EqualTo("application/json"), "in any case");
            Assert.That(request.Headers, Does.Not.ContainKey("Content-Type"));
            Assert.That(request.Headers, Does.ContainKey("X-Auth-Identity").WithValue("fake-identity"));
            Assert.That(request.Headers, Does.Not.ContainKey("X-Auth-Key"), "it may be a real one");
        }
    }

    [TestCase("17", null)]
    [TestCase(null, "key")]
    [TestCase("17", "")]
    [TestCase("17", "another key")]
    [TestCase("18", "key")]
    [TestCase("19", "rejected")]
    public async Task Wrong_credentials_are_a_401_that_says_so(string? identity, string? key)
    {
        _sparkfly.AcceptCredentials("17", "key");
        _sparkfly.AcceptCredentials("19", "rejected");
        _sparkfly.RejectCredentials("19");

        using HttpResponseMessage response = await AskForTokenAsync(identity, key);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo("""{"error": "Invalid credentials"}"""));
    }

    [Test]
    public async Task Rejected_credentials_are_accepted_again_with_their_new_key_and_their_tokens_stay_good_meanwhile()
    {
        string token = await NewTokenAsync("17");
        _sparkfly.RejectCredentials("17");
        Assert.That(await StatusAsync(token), Is.EqualTo(HttpStatusCode.NotFound), "the token");

        _sparkfly.AcceptCredentials("17", "rotated");

        using HttpResponseMessage old = await AskForTokenAsync("17", "key");
        using HttpResponseMessage rotated = await AskForTokenAsync("17", "rotated");
        Assert.That((old.StatusCode, rotated.StatusCode), Is.EqualTo((HttpStatusCode.Unauthorized, HttpStatusCode.NoContent)));
    }

    [Test]
    public async Task A_request_needs_a_good_token()
    {
        string good = await NewTokenAsync("17");

        Assert.That(await StatusAsync(good), Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(await StatusAsync(null), Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(await StatusAsync(new string('0', 64)), Is.EqualTo(HttpStatusCode.Unauthorized));
    }

    [Test]
    public async Task A_token_is_good_for_24_hours_on_the_fake_s_clock()
    {
        string token = await NewTokenAsync("17");

        _time.Advance(TimeSpan.FromDays(1) - TimeSpan.FromTicks(1));
        Assert.That(await StatusAsync(token), Is.EqualTo(HttpStatusCode.NotFound));
        _time.Advance(TimeSpan.FromTicks(1));
        Assert.That(await StatusAsync(token), Is.EqualTo(HttpStatusCode.Unauthorized));
    }

    [Test]
    public async Task Tokens_are_revoked_one_by_one_by_account_or_all_at_once()
    {
        string[] tokens = [await NewTokenAsync("17"), await NewTokenAsync("17"), await NewTokenAsync("18"), await NewTokenAsync("19")];

        _sparkfly.RevokeToken(tokens[0]);
        Assert.That(await GoodAsync(tokens), Is.EqualTo((bool[])[false, true, true, true]));
        _sparkfly.RevokeTokens("18");
        Assert.That(await GoodAsync(tokens), Is.EqualTo((bool[])[false, true, false, true]));
        _sparkfly.RevokeTokens();
        Assert.That(await GoodAsync(tokens), Is.All.False);
        Assert.That(_sparkfly.Requests.Take(4).Select(static r => r.Identity), Is.EqualTo((string[])["17", "17", "18", "19"]), "of a revoked one too");
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_revoked_token_is_renewed_and_the_request_sent_again_bytes_and_all(Sending sending)
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Created);
        using HttpClient client = _sparkfly.CreateClient();
        (await client.GetAs(sending, "offers")).Dispose();
        _sparkfly.RevokeTokens();

        using var request = new HttpRequestMessage(HttpMethod.Post, "members") { Content = JsonContent.Create(new { email = "jo@example.com" }) };
        using HttpResponseMessage response = await client.SendAs(sending, request);

        FakeSparkflyRequest[] sent = [.. _sparkfly.Requests.Where(static r => r.RelativePath == "members")];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Created));
            Assert.That(sent.Select(static r => r.Body), Is.EqualTo((string[])["""{"email":"jo@example.com"}""", """{"email":"jo@example.com"}"""]));
            Assert.That(sent[0].Token, Is.Not.EqualTo(sent[1].Token));
            Assert.That(sent[1].Headers["Content-Type"], Does.StartWith("application/json"));
            Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(2));
        }
    }

    [Test]
    public async Task A_body_is_read_as_a_socket_reads_it_once_and_without_being_kept()
    {
        using HttpClient client = _sparkfly.CreateClient();
        (await client.GetAsync("offers")).Dispose();
        _sparkfly.RevokeTokens();

        // Longer than what the handler keeps of a one-way stream: were it made readable again on the way, the request would be sent again.
        var body = new byte[2 * 1024 * 1024];
        using var content = new StreamContent(new OneWayStream(body));
        using HttpResponseMessage response = await client.PostAsync("members", content);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        Assert.That(_sparkfly.Requests.Single(static r => r.RelativePath == "members").BodyBytes.Length, Is.EqualTo(body.Length));
    }

    [Test]
    public async Task A_body_is_decoded_as_its_charset_says()
    {
        using HttpClient client = _sparkfly.CreateClient();
        (await client.PostAsync("a", new StringContent("Köln", Encoding.Latin1))).Dispose();
        (await client.PostAsync("b", new StringContent("Köln", Encoding.UTF8))).Dispose();
        using var odd = new ByteArrayContent("Köln"u8.ToArray()) { Headers = { ContentType = new MediaTypeHeaderValue("text/plain", "no-such-charset") } };
        (await client.PostAsync("c", odd)).Dispose();

        Assert.That(_sparkfly.Requests.Select(static r => r.Body), Is.All.EqualTo("Köln"));
    }

    [TestCase("offers", "offers", true)]
    [TestCase("offers", "offers?store=3", true)]
    [TestCase("offers?store=3", "offers?store=3", true)]
    [TestCase("offers?store=3", "offers?store=4", false)]
    [TestCase("offers?store=3", "offers", false)]
    [TestCase("/v1.0/offers", "offers", true)]
    [TestCase("/offers", "offers", false)]
    [TestCase("/v2.0/offers", "/v2.0/offers", true)]
    [TestCase("https://api-staging.sparkfly.com/v1.0/offers", "offers", true)]
    [TestCase("https://api.sparkfly.com/v1.0/offers", "offers", false)]
    [TestCase("members/*", "members/17", true)]
    [TestCase("members/*", "members", false)]
    [TestCase("members/*", "members/17/offers", false)]
    [TestCase("members/*/offers", "members/17/offers", true)]
    [TestCase("members/**", "members/17/offers", true)]
    [TestCase("members/**", "members/17", true)]
    [TestCase("members/**", "members", true)]
    [TestCase("members/**", "stores/17", false)]
    [TestCase("members/17/**", "members", false)]
    [TestCase("members/*/offers/**", "members/17/offers/3?store=3", true)]
    [TestCase("members/**?store=3", "members/17?store=4", false)]
    [TestCase("**", "members/17/offers", true)]
    [TestCase("**", "/v2.0/offers", false)]
    [TestCase("/**", "/v2.0/offers", true)]
    [TestCase("members/jo@example.com", "members/jo@example.com", true)]
    [TestCase("stores/Köln", "stores/K%C3%B6ln", true)]
    [TestCase("Offers", "offers", true)]
    [TestCase("offers", "OFFERS", true)]
    [TestCase("offers?a=1&b=2", "offers?b=2&a=1", true)]
    [TestCase("offers?a=1&b=2", "offers?a=1&b=2&c=3", false)]
    [TestCase("offers?a=1&a=2", "offers?a=2&a=1", true)]
    [TestCase("offers?a=1&a=1", "offers?a=1&a=2", false)]
    [TestCase("offers?a=*&a=1", "offers?a=1&a=2", true)]
    [TestCase("offers?name=K%C3%B6ln+Süd", "offers?name=Köln%20S%C3%BCd", true)]
    [TestCase("offers?", "offers", true)]
    [TestCase("offers?", "offers?a=1", false)]
    [TestCase("offers?a=A", "offers?a=a", false)]
    [TestCase("items/item-*", "items/item-17", true)]
    [TestCase("items/item-*", "items/thing-17", false)]
    [TestCase("items/*-*.json", "items/item-17.json", true)]
    [TestCase("items/item-*", "items/item-17/offers", false)]
    [TestCase("members/**/offers", "members/offers", true)]
    [TestCase("members/**/offers", "members/17/stores/3/offers", true)]
    [TestCase("members/**/offers/*", "members/17/offers", false)]
    public async Task An_address_is_written_as_the_client_writes_it(string address, string requested, bool fits)
    {
        _sparkfly.Answer(HttpMethod.Get, address, HttpStatusCode.Accepted);
        using HttpClient client = _sparkfly.CreateClient();

        using HttpResponseMessage response = await client.GetAsync(requested);

        Assert.That(response.StatusCode, Is.EqualTo(fits ? HttpStatusCode.Accepted : HttpStatusCode.NotFound));
    }

    [Test]
    public async Task The_last_answer_holds_as_often_as_it_says_and_then_the_one_before()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable, times: 2);
        using HttpClient client = _sparkfly.CreateClient();

        var statuses = new List<int>();
        for (int i = 0; i < 4; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            statuses.Add((int)response.StatusCode);
        }

        Assert.That(statuses, Is.EqualTo((int[])[503, 503, 200, 200]));
    }

    [Test]
    public async Task A_function_answers_from_the_request()
    {
        _sparkfly.Answer(HttpMethod.Put, "echo", static request => new HttpResponseMessage { Content = new StringContent(request.Body) });
        _sparkfly.Answer(HttpMethod.Get, "slow", static async (_, cancellationToken) =>
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return new HttpResponseMessage();
        });
        using HttpClient client = _sparkfly.CreateClient();

        using HttpResponseMessage echo = await client.PutAsync("echo", new StringContent("said"));
        using var cancelled = new CancellationTokenSource();
        Task slow = client.GetAsync("slow", cancelled.Token);
        await _sparkfly.WaitForRequestsAsync(2).WaitAsync(TestApp.Patience);
        await cancelled.CancelAsync();

        Assert.That(await echo.Content.ReadAsStringAsync(), Is.EqualTo("said"));
        Assert.That(async () => await slow.WaitAsync(TestApp.Patience), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task An_endpoint_can_refuse_every_token_and_costs_one_token_request()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Unauthorized);
        using HttpClient client = _sparkfly.CreateClient();

        for (int i = 0; i < 20; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("offers");
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
        }

        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(2), "the first, and the one that a 401 forced");
    }

    [Test]
    public async Task Token_requests_fail_as_often_as_the_test_says()
    {
        _sparkfly.FailTokenRequests(HttpStatusCode.ServiceUnavailable, retryAfter: TimeSpan.FromMinutes(2), times: 2);
        using HttpClient client = _sparkfly.CreateClient();

        for (int i = 0; i < 2; i++)
        {
            SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
            Assert.That(exception.AuthStatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
            Assert.That(exception.RetryAt, Is.EqualTo(_time.GetUtcNow().AddMinutes(2)));
            _time.Advance(TimeSpan.FromMinutes(2));
        }

        (await client.GetAsync("offers")).Dispose();
        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(3));
    }

    [Test]
    public async Task Token_requests_fail_with_an_exception_or_wrong_credentials_until_they_are_restored()
    {
        using HttpClient client = _sparkfly.CreateClient();
        var broken = new HttpRequestException(HttpRequestError.ConnectionError, "refused");

        _sparkfly.FailTokenRequests(broken);
        SparkflyAuthenticationException unreached = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
        _time.Advance(TimeSpan.FromMinutes(1));
        _sparkfly.FailTokenRequests(HttpStatusCode.Unauthorized);
        SparkflyAuthenticationException rejected = await Thrown.By<SparkflyAuthenticationException>(() => client.GetAsync("offers"));
        _time.Advance(TimeSpan.FromMinutes(1));
        _sparkfly.RestoreTokenRequests();
        (await client.GetAsync("offers")).Dispose();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(unreached.InnerException, Is.SameAs(broken));
            Assert.That(rejected.Message, Does.Contain("Invalid credentials"));
            Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(4), "the rejected one at both homes of /auth");
        }
    }

    [Test]
    public async Task Token_requests_wait_until_they_are_restored()
    {
        _sparkfly.HoldTokenRequests();
        using HttpClient client = _sparkfly.CreateClient();
        Task<HttpResponseMessage> call = client.GetAsync("offers");
        await _sparkfly.WaitForTokenRequestsAsync(1).WaitAsync(TestApp.Patience);
        Assert.That(call.IsCompleted, Is.False);

        _sparkfly.RestoreTokenRequests();

        (await call.WaitAsync(TestApp.Patience)).Dispose();
        Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task A_token_request_that_waits_is_answered_as_the_test_says_next()
    {
        _sparkfly.HoldTokenRequests(times: 1);
        Task<HttpResponseMessage> waiting = AskForTokenAsync("17", "key");
        await _sparkfly.WaitForTokenRequestsAsync(1).WaitAsync(TestApp.Patience);
        using HttpResponseMessage second = await AskForTokenAsync("17", "key");

        _sparkfly.FailTokenRequests(HttpStatusCode.BadGateway);

        using HttpResponseMessage first = await waiting.WaitAsync(TestApp.Patience);
        Assert.That((first.StatusCode, second.StatusCode), Is.EqualTo((HttpStatusCode.BadGateway, HttpStatusCode.NoContent)));
    }

    [Test]
    public async Task A_token_request_that_waits_ends_with_its_sender_s_timeout()
    {
        _sparkfly.HoldTokenRequests();
        using HttpClient client = _sparkfly.CreateClient();
        Task call = client.GetAsync("offers");
        await _sparkfly.WaitForTokenRequestsAsync(1).WaitAsync(TestApp.Patience);

        _time.Advance(TimeSpan.FromSeconds(30));

        SparkflyAuthenticationException exception = await Thrown.By<SparkflyAuthenticationException>(() => call);
        Assert.That(exception.IsTransient);
    }

    [Test]
    public async Task An_answer_for_the_token_request_stands_in_for_a_token()
    {
        _sparkfly.Answer(HttpMethod.Post, "auth", HttpStatusCode.NoContent, times: 1);

        using HttpResponseMessage tokenless = await AskForTokenAsync("17", "key");
        using HttpResponseMessage regular = await AskForTokenAsync("17", "key");

        Assert.That(tokenless.Headers.Contains("X-Auth-Token"), Is.False);
        Assert.That(regular.Headers.Contains("X-Auth-Token"));
    }

    [Test]
    public async Task A_token_that_an_answer_gives_out_is_as_good_as_the_fakes_own()
    {
        string token = SecretSweep.NewSecret("token");
        _sparkfly.Answer(HttpMethod.Post, "auth", request => WithToken(HttpStatusCode.OK, token));
        using HttpResponseMessage response = await AskForTokenAsync("17", "key");

        HttpStatusCode fresh = await StatusAsync(token);
        string? identity = _sparkfly.Requests.Single().Identity;
        _sparkfly.RevokeTokens("17");
        HttpStatusCode revoked = await StatusAsync(token);
        (await AskForTokenAsync("17", "key")).Dispose();
        HttpStatusCode givenOutAgain = await StatusAsync(token);
        _time.Advance(TimeSpan.FromDays(1));
        HttpStatusCode old = await StatusAsync(token);

        Assert.That((int[])[(int)fresh, (int)revoked, (int)givenOutAgain, (int)old], Is.EqualTo((int[])[404, 401, 404, 401]));
        Assert.That(identity, Is.EqualTo("17"));
    }

    [Test]
    public async Task A_failure_gives_no_token_out_whatever_its_headers_say()
    {
        string token = SecretSweep.NewSecret("token");
        _sparkfly.Answer(HttpMethod.Post, "auth", request => WithToken(HttpStatusCode.BadGateway, token));
        (await AskForTokenAsync("17", "key")).Dispose();

        Assert.That(await StatusAsync(token), Is.EqualTo(HttpStatusCode.Unauthorized));
    }

    [TestCase("*")]
    [TestCase("**")]
    [TestCase("/v1.0/*")]
    [TestCase("https://api-staging.sparkfly.com/**")]
    public async Task An_answer_for_any_address_is_none_for_the_token_request(string address)
    {
        _sparkfly.Answer(HttpMethod.Post, address, HttpStatusCode.Accepted);
        using HttpClient client = _sparkfly.CreateClient();

        using HttpResponseMessage response = await client.PostAsync("members", null);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Accepted));
    }

    [Test]
    public async Task A_token_is_not_to_be_had_with_another_method()
    {
        using var http = new HttpClient(_sparkfly.CreateHandler());

        HttpRequestException exception = await Thrown.By<HttpRequestException>(() => http.GetStringAsync("https://api.sparkfly.com/auth"));

        Assert.That(exception.StatusCode, Is.EqualTo(HttpStatusCode.MethodNotAllowed));
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_request_to_another_host_fails_and_says_what_to_do(Sending sending)
    {
        using HttpClient client = _sparkfly.CreateClient();

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(
            () => client.GetAs(sending, "https://other.example/files?secret=1"));

        Assert.That(exception.Message, Does.StartWith("GET https://other.example/files is not at Sparkfly").And.Not.Contain("secret"));
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_redirect_to_another_host_is_followed_without_the_token_to_the_answer_for_its_address(Sending sending)
    {
        _sparkfly.Answer(HttpMethod.Get, "logo", static _ => new HttpResponseMessage(HttpStatusCode.Found)
        {
            Headers = { Location = new Uri("https://cdn.example/logo.png") },
        });
        _sparkfly.Answer(HttpMethod.Get, "https://cdn.example/logo.png", HttpStatusCode.OK);
        using HttpClient client = _sparkfly.CreateClient();

        using HttpResponseMessage response = await client.GetAs(sending, "logo");

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(_sparkfly.Requests.Select(static r => r.Token is null), Is.EqualTo((bool[])[false, true]));
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task Requests_to_other_hosts_go_where_the_test_says_untouched(Sending sending)
    {
        HttpContent? content = null;
        _sparkfly.Answer(HttpMethod.Post, "https://answered.example/", HttpStatusCode.OK);
        _sparkfly.OtherHosts = new FakePrimary(request =>
        {
            content = request.Content;
            return new HttpResponseMessage(HttpStatusCode.Accepted);
        });
        using HttpClient client = _sparkfly.CreateClient();
        using var body = new StreamContent(new OneWayStream([1, 2, 3]));

        using HttpResponseMessage elsewhere = await client.SendAs(sending, new HttpRequestMessage(HttpMethod.Post, "https://other.example/") { Content = body });
        using HttpResponseMessage answered = await client.SendAs(sending, new HttpRequestMessage(HttpMethod.Post, "https://answered.example/"));
        using HttpResponseMessage sparkflys = await client.GetAs(sending, "offers");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(elsewhere.StatusCode, Is.EqualTo(HttpStatusCode.Accepted));
            Assert.That(content, Is.SameAs(body));
            Assert.That(answered.StatusCode, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(sparkflys.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
            Assert.That(_sparkfly.Requests.Select(static r => r.Address.Host), Is.EqualTo((string[])["answered.example", "api-staging.sparkfly.com"]));
        }
    }

    [Test]
    public async Task A_reset_forgets_all_but_the_tokens()
    {
        string token = await NewTokenAsync("17");
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        _sparkfly.AcceptCredentials("18", "key");
        _sparkfly.RejectCredentials("17");
        _sparkfly.FailTokenRequests(HttpStatusCode.ServiceUnavailable);
        _sparkfly.OtherHosts = new FakePrimary(static _ => new HttpResponseMessage());

        _sparkfly.Reset();

        Assert.That(_sparkfly.UnansweredStatus, Is.Null);
        _sparkfly.UnansweredStatus = HttpStatusCode.NotFound;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(_sparkfly.TokenRequests, Is.Empty);
            Assert.That(_sparkfly.OtherHosts, Is.Null);
            Assert.That(await StatusAsync(token), Is.EqualTo(HttpStatusCode.NotFound), "a good token, and no answer");
            Assert.That(await NewTokenAsync("17"), Is.Not.EqualTo(token));
        }
    }

    [Test]
    public async Task A_thousand_requests_at_once_are_all_answered_and_remembered_while_the_test_looks_on()
    {
        const int Requests = 1000;
        _sparkfly.Answer(HttpMethod.Get, "offers/*", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers/*", HttpStatusCode.Accepted, times: Requests / 2);
        using HttpClient client = _sparkfly.CreateClient();
        Task looking = _sparkfly.WaitForRequestsAsync(Requests);

        HttpStatusCode[] statuses = await Task.WhenAll(Enumerable.Range(0, Requests).Select(async i =>
        {
            await Task.Yield();
            _ = _sparkfly.Requests;
            using HttpResponseMessage response = await client.GetAsync($"offers/{i}");
            return response.StatusCode;
        })).WaitAsync(TestApp.Patience);

        await looking.WaitAsync(TestApp.Patience);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(statuses.Count(static s => s == HttpStatusCode.Accepted), Is.EqualTo(Requests / 2));
            Assert.That(statuses.Count(static s => s == HttpStatusCode.OK), Is.EqualTo(Requests / 2));
            Assert.That(_sparkfly.Requests.Select(static r => r.RelativePath).Distinct().Count(), Is.EqualTo(Requests));
            Assert.That(_sparkfly.TokenRequests, Has.Count.EqualTo(1));
        }
    }

    [Test]
    public async Task A_synchronous_send_does_not_wait_for_a_context_that_it_blocks()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", static async (_, _) =>
        {
            await Task.Yield();
            return new HttpResponseMessage(HttpStatusCode.OK);
        });
        using HttpClient client = _sparkfly.CreateClient();

        using HttpResponseMessage response = await SingleThread.RunAsync(() => client.Send(new HttpRequestMessage(HttpMethod.Get, "offers")))
            .WaitAsync(TestApp.Patience);

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public void What_makes_no_sense_is_refused()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK, times: 0), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => _sparkfly.FailTokenRequests(HttpStatusCode.OK, times: -1), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => _sparkfly.HoldTokenRequests(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        }
    }

    private async Task<HttpResponseMessage> AskForTokenAsync(string? identity, string? key)
    {
        using var http = new HttpClient(_sparkfly.CreateHandler());
        using var request = new HttpRequestMessage(HttpMethod.Post, "https://api-staging.sparkfly.com/v1.0/auth") { Content = new ByteArrayContent([]) };
        if (identity is not null)
        {
            request.Headers.Add("X-Auth-Identity", identity);
        }

        if (key is not null)
        {
            request.Headers.Add("X-Auth-Key", key);
        }

        return await http.SendAsync(request);
    }

    private async Task<string> NewTokenAsync(string identity)
    {
        using HttpResponseMessage response = await AskForTokenAsync(identity, "key");
        return TokenOf(response);
    }

    private async Task<HttpStatusCode> StatusAsync(string? token)
    {
        using var http = new HttpClient(_sparkfly.CreateHandler());
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://api-staging.sparkfly.com/v1.0/offers");
        if (token is not null)
        {
            request.Headers.Add("X-Auth-Token", token);
        }

        using HttpResponseMessage response = await http.SendAsync(request);
        return response.StatusCode;
    }

    private async Task<bool[]> GoodAsync(string[] tokens)
    {
        var good = new List<bool>();
        foreach (string token in tokens)
        {
            good.Add(await StatusAsync(token) == HttpStatusCode.NotFound);
        }

        return [.. good];
    }

    private static HttpResponseMessage WithToken(HttpStatusCode status, string token) => new(status) { Headers = { { "X-Auth-Token", token } } };

    private static string TokenOf(HttpResponseMessage response) => SecretSweep.Secret(Raw(response, "X-Auth-Token"));

    private static string Raw(HttpResponseMessage response, string header) => response.Headers.NonValidated[header].ToString();
}
