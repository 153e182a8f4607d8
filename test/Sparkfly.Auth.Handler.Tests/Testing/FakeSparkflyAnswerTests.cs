using System.Net;
using System.Net.Http.Json;
using Sparkfly.Auth.Handler.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Which answer the fake gives to a request: sequences, conditions, strictness, and answers that are taken back.</summary>
public sealed class FakeSparkflyAnswerTests : IDisposable
{
    private readonly FakeSparkfly _sparkfly = new();
    private readonly HttpClient _client;

    public FakeSparkflyAnswerTests() => _client = _sparkfly.CreateClient();

    public void Dispose() => _client.Dispose();

    [Test]
    public async Task A_sequence_reads_in_order_and_its_last_step_stays()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable).Then("""{"offers":[]}""");

        Assert.That(await StatusesAsync(4), Is.EqualTo((int[])[503, 200, 200, 200]));
    }

    [Test]
    public async Task Each_step_of_a_sequence_may_have_a_number_and_be_of_any_kind()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Gone);
        _sparkfly.Answer(HttpMethod.Get, "offers", "{}", HttpStatusCode.Accepted, times: 2)
            .Then(HttpStatusCode.BadGateway)
            .Then(static _ => new HttpResponseMessage(HttpStatusCode.Conflict))
            .Then(static async (_, _) =>
            {
                await Task.Yield();
                return new HttpResponseMessage(HttpStatusCode.Created);
            })
            .Then(FakeSparkflyResponse.Status(HttpStatusCode.Locked), times: 1);

        Assert.That(await StatusesAsync(8), Is.EqualTo((int[])[202, 202, 502, 409, 201, 423, 410, 410]), "used up, it leaves requests to the answer before");
    }

    [Test]
    public async Task A_later_answer_goes_before_an_earlier_sequence()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable).Then(HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Accepted, times: 1);

        Assert.That(await StatusesAsync(3), Is.EqualTo((int[])[202, 503, 200]));
    }

    [TestCase("GET")]
    [TestCase("DELETE")]
    [TestCase("PURGE")]
    public async Task An_answer_may_be_for_any_method(string method)
    {
        _sparkfly.Answer(FakeSparkfly.AnyMethod, "offers", HttpStatusCode.Accepted);

        using HttpResponseMessage response = await _client.SendAsync(new HttpRequestMessage(new HttpMethod(method), "offers"));

        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Accepted));
    }

    [TestCase("offers", true)]
    [TestCase("offers?store=17", false)]
    public async Task A_function_that_returns_null_leaves_the_request_to_the_answer_before(string address, bool isTaken)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        FakeSparkflyAnswer answer = _sparkfly.Answer(
            HttpMethod.Get, "offers", static r => r.Address.Query.Length == 0 ? new HttpResponseMessage(HttpStatusCode.Accepted) : null);
        _sparkfly.Answer(HttpMethod.Get, "offers", static (_, _) => Task.FromResult<HttpResponseMessage?>(null));

        using HttpResponseMessage response = await _client.GetAsync(address);

        Assert.That(response.StatusCode, Is.EqualTo(isTaken ? HttpStatusCode.Accepted : HttpStatusCode.OK));
        Assert.That(answer.Uses, Is.EqualTo(isTaken ? 1 : 0), "a request that it left is no use");
    }

    [Test]
    public async Task A_mock_that_was_not_told_what_to_return_is_no_answer()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", static (_, _) => null!);

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => _client.GetAsync("offers"));

        Assert.That(exception.Message, Does.Contain("GET offers → function: its function returned null"));
    }

    [TestCase("offers?store=17&page=2", true)]
    [TestCase("offers?page=2&store=17", true)]
    [TestCase("offers?store=18&page=2", false)]
    [TestCase("offers?store=17", false)]
    [TestCase("offers", false)]
    public async Task A_query_may_be_given_in_part(string address, bool fits)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Accepted).WhenQuery("store", "1*7").WhenQuery("page");

        using HttpResponseMessage response = await _client.GetAsync(address);

        Assert.That(response.StatusCode, Is.EqualTo(fits ? HttpStatusCode.Accepted : HttpStatusCode.OK));
    }

    [TestCase("de", true)]
    [TestCase("de-CH", true)]
    [TestCase("en", false)]
    [TestCase(null, false)]
    public async Task An_answer_may_be_for_a_header(string? language, bool fits)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.Accepted).WhenHeader("accept-language", "de*");
        using var request = new HttpRequestMessage(HttpMethod.Get, "offers");
        if (language is not null)
        {
            request.Headers.Add("Accept-Language", language);
        }

        using HttpResponseMessage response = await _client.SendAsync(request);

        Assert.That(response.StatusCode, Is.EqualTo(fits ? HttpStatusCode.Accepted : HttpStatusCode.OK));
    }

    [TestCase("""{"a":1,"b":[true,null,"x"]}""", false, """{ "b": [true, null, "x"], "a": 1.0 }""", true)]
    [TestCase("""{"a":1}""", false, """{"a":1,"c":2}""", false)]
    [TestCase("""{"a":{"b":1}}""", true, """{"a":{"b":1,"c":2},"d":3}""", true)]
    [TestCase("""{"a":{"b":1}}""", true, """{"a":{"b":2}}""", false)]
    [TestCase("""{"a":1}""", true, """{"b":1}""", false)]
    [TestCase("[1,2]", true, "[1,2,3]", false)]
    [TestCase("[1,2]", true, "[2,1]", false)]
    [TestCase("1e400", false, "1e400", true)]
    [TestCase("\"1\"", false, "1", false)]
    [TestCase("{}", true, "no JSON", false)]
    public async Task An_answer_may_be_for_a_JSON_body(string json, bool isPartial, string body, bool fits)
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Accepted).WhenJson(json, isPartial);

        using HttpResponseMessage response = await _client.PostAsync("members", new StringContent(body));

        Assert.That(response.StatusCode, Is.EqualTo(fits ? HttpStatusCode.Accepted : HttpStatusCode.OK));
    }

    [TestCase("email", "jo@example.com", true)]
    [TestCase("email", "max@example.com", false)]
    [TestCase("mail", "jo@example.com", false)]
    public async Task An_answer_may_be_for_a_field_of_a_form(string name, string value, bool fits)
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.Accepted).WhenForm("email", "jo@*");
        using var form = new FormUrlEncodedContent([new("first name", "Jo"), new(name, value)]);
        using var text = new StringContent(await form.ReadAsStringAsync());

        using HttpResponseMessage response = await _client.PostAsync("members", form);
        using HttpResponseMessage noForm = await _client.PostAsync("members", text);

        Assert.That(response.StatusCode, Is.EqualTo(fits ? HttpStatusCode.Accepted : HttpStatusCode.OK));
        Assert.That(noForm.StatusCode, Is.EqualTo(HttpStatusCode.OK), "its Content-Type is text/plain");
    }

    [Test]
    public async Task An_answer_may_be_for_what_is_true_of_a_request()
    {
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Post, "members", HttpStatusCode.RequestEntityTooLarge).When(static r => r.BodyBytes.Length > 3).When(static r => r.Body != "four");

        foreach ((string body, int status) in new[] { ("one", 200), ("three", 413), ("four", 200) })
        {
            using HttpResponseMessage response = await _client.PostAsync("members", new StringContent(body));
            Assert.That((int)response.StatusCode, Is.EqualTo(status), body);
        }
    }

    [TestCase("members/a**")]
    [TestCase("https://*.example/offers")]
    [TestCase("https://")]
    [TestCase("https://exa mple/")]
    [TestCase("ftp://files.example/")]
    [TestCase("//files.example/offers")]
    [TestCase("offers#top")]
    [TestCase(" offers")]
    [TestCase(@"offers\17")]
    public void A_pattern_that_can_fit_nothing_is_refused_at_the_call(string address)
    {
        Assert.That(
            () => _sparkfly.Answer(HttpMethod.Get, address, HttpStatusCode.OK),
            Throws.TypeOf<ArgumentException>().With.Property("ParamName").EqualTo("address").And.Message.Contains($"'{address}' is no address"));
        Assert.That(_sparkfly.UnusedAnswers, Is.Empty);
    }

    [Test]
    public void A_condition_that_makes_no_sense_is_refused_at_the_call()
    {
        FakeSparkflyAnswer answer = _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => answer.WhenJson("{"), Throws.ArgumentException);
            Assert.That(() => answer.WhenHeader(""), Throws.ArgumentException);
            Assert.That(() => answer.WhenQuery(""), Throws.ArgumentException);
            Assert.That(() => answer.WhenForm(""), Throws.ArgumentException);
            Assert.That(() => answer.When(null!), Throws.ArgumentNullException);
            Assert.That(() => answer.Then(HttpStatusCode.OK, times: 0), Throws.TypeOf<ArgumentOutOfRangeException>());
        }
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_request_that_no_answer_fits_fails_and_names_itself_and_the_nearest_answers(Sending sending)
    {
        _sparkfly.Answer(HttpMethod.Get, "stores", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offer", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Post, "offers", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers?store=4", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK).WhenHeader("X-Store");

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => _client.GetAs(sending, "offers?store=3&api_key=17"));

        string[] lines = exception.Message.Split(Environment.NewLine);
        Assert.That(lines[0], Does.StartWith("FakeSparkfly has no answer for GET offers?store=3&api_key=…: give it one with Answer"));
        Assert.That(lines[1..4], Is.EqualTo((string[])[
            "  GET offers [header X-Store] → 200: its condition does not hold",
            "  GET offers?store=4 → 200: the query differs",
            "  POST offers → 200: the method differs"]));
        Assert.That(_sparkfly.Unanswered.Single(), Is.SameAs(_sparkfly.Requests.Single()));
    }

    [Test]
    public async Task The_nearest_answers_are_those_with_the_most_similar_paths_and_those_that_are_used_up()
    {
        _sparkfly.Answer(HttpMethod.Get, "stores", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offer", HttpStatusCode.OK);
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK, times: 1);
        (await _client.GetAsync("offers")).Dispose();

        InvalidOperationException exception = await Thrown.By<InvalidOperationException>(() => _client.GetAsync("offers"));

        Assert.That(exception.Message.Split(Environment.NewLine)[1..4], Is.EqualTo((string[])[
            "  GET offers → 200: used up", "  GET offer → 200: the path differs", "  GET stores → 200: the path differs"]));
    }

    [Test]
    public async Task Code_that_takes_a_404_for_nothing_does_not_take_a_missing_answer_for_it()
    {
        Func<Task<string?>> find = async () =>
        {
            using HttpResponseMessage response = await _client.GetAsync("members/17");
            return response.StatusCode == HttpStatusCode.NotFound ? null : await response.Content.ReadAsStringAsync();
        };

        Assert.That(find, Throws.InvalidOperationException.With.Message.Contains("No answer was given."));
        _sparkfly.UnansweredStatus = HttpStatusCode.NotFound;
        Assert.That(await find(), Is.Null);
        Assert.That(_sparkfly.Unanswered.Select(static r => r.RelativePath), Is.EqualTo((string[])["members/17", "members/17"]));
        _sparkfly.Reset();
        Assert.That(_sparkfly.Unanswered, Is.Empty);
    }

    [Test]
    public async Task A_404_for_a_request_that_no_answer_fits_says_so()
    {
        _sparkfly.UnansweredStatus = HttpStatusCode.NotFound;

        HttpRequestException exception = await Thrown.By<HttpRequestException>(() => _client.GetStringAsync("offers?secret=1"));
        using HttpResponseMessage response = await _client.GetAsync("offers");

        Assert.That(exception.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(exception.Message, Does.Contain("FakeSparkfly has no answer for GET offers"));
        Assert.That((await response.Content.ReadFromJsonAsync<Dictionary<string, string>>())?["error"], Does.StartWith("FakeSparkfly has no answer"));
    }

    [Test]
    public async Task Answers_that_were_not_used_are_named()
    {
        FakeSparkflyAnswer used = _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        FakeSparkflyAnswer half = _sparkfly.Answer(HttpMethod.Get, "stores", HttpStatusCode.ServiceUnavailable).Then(HttpStatusCode.OK);
        FakeSparkflyAnswer unused = _sparkfly.Answer(FakeSparkfly.AnyMethod, "members/*", HttpStatusCode.NoContent);
        (await _client.GetAsync("offers")).Dispose();
        (await _client.GetAsync("stores")).Dispose();

        Assert.That(_sparkfly.UnusedAnswers, Is.EqualTo((FakeSparkflyAnswer[])[half, unused]));
        Assert.That(used.Uses, Is.EqualTo(1));
        Assert.That(_sparkfly.VerifyAllAnswersUsed, Throws.InvalidOperationException.With.Message.Contains("GET stores → 503, 200 (unused: 200)")
            .And.Message.Contains("any method members/* → 204").And.Message.Not.Contains("GET offers → 200:").And.Message.Contains("(token 1) → 503"));

        (await _client.GetAsync("stores")).Dispose();
        unused.Dispose();
        Assert.That(_sparkfly.VerifyAllAnswersUsed, Throws.Nothing);
    }

    [Test]
    public async Task An_answer_counts_its_uses_and_can_be_taken_back()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.OK);
        using (FakeSparkflyAnswer outage = _sparkfly.Answer(HttpMethod.Get, "offers", HttpStatusCode.ServiceUnavailable))
        {
            Assert.That(await StatusesAsync(2), Is.EqualTo((int[])[503, 503]));
            Assert.That(outage.Uses, Is.EqualTo(2));
        }

        Assert.That(await StatusesAsync(1), Is.EqualTo((int[])[200]));
    }

    [Test]
    public async Task An_answer_for_another_host_that_leaves_the_request_alone_leaves_it_to_where_such_requests_go(
        [Values] Sending sending)
    {
        string? body = null;
        _sparkfly.OtherHosts = new FakePrimary(request =>
        {
            using var reader = new StreamReader(request.Content!.ReadAsStream());
            body = reader.ReadToEnd();
            return new HttpResponseMessage(HttpStatusCode.Accepted);
        });
        _sparkfly.Answer(HttpMethod.Post, "https://other.example/", HttpStatusCode.OK).WhenHeader("X-None");
        using var content = new StreamContent(new OneWayStream("said"u8.ToArray())) { Headers = { ContentType = new("text/plain") } };

        using HttpResponseMessage response = await _client.SendAs(sending, new HttpRequestMessage(HttpMethod.Post, "https://other.example/") { Content = content });

        Assert.That((response.StatusCode, body), Is.EqualTo((HttpStatusCode.Accepted, "said")));
        Assert.That(_sparkfly.Unanswered, Is.Empty);
    }

    private async Task<int[]> StatusesAsync(int count)
    {
        var statuses = new List<int>();
        for (int i = 0; i < count; i++)
        {
            using HttpResponseMessage response = await _client.GetAsync("offers");
            statuses.Add((int)response.StatusCode);
        }

        return [.. statuses];
    }
}
