using System.Net;
using System.Net.Sockets;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Time.Testing;
using Sparkfly.Auth.Handler.Testing;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>What the fake can answer with.</summary>
public sealed partial class FakeSparkflyResponseTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly FakeSparkfly _sparkfly;
    private readonly HttpClient _client;

    public FakeSparkflyResponseTests()
    {
        _sparkfly = new FakeSparkfly(_time);
        _client = _sparkfly.CreateClient();
    }

    public void Dispose() => _client.Dispose();

    [Test]
    public async Task JSON_is_made_from_an_object_with_reflection_or_without()
    {
        var offer = new Offer(17, "Free coffee");
        _sparkfly.Answer(HttpMethod.Get, "anonymous", FakeSparkflyResponse.JsonOf(new { Offers = new[] { offer } }, HttpStatusCode.Accepted));
        _sparkfly.Answer(HttpMethod.Get, "generated", FakeSparkflyResponse.JsonOf(offer, Json.Default.Offer, HttpStatusCode.Created));
        _sparkfly.Answer(HttpMethod.Get, "options", FakeSparkflyResponse.JsonOf(offer, options: new() { PropertyNamingPolicy = System.Text.Json.JsonNamingPolicy.KebabCaseUpper }));

        using HttpResponseMessage anonymous = await _client.GetAsync("anonymous");
        using HttpResponseMessage generated = await _client.GetAsync("generated");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(await anonymous.Content.ReadAsStringAsync(), Is.EqualTo("""{"offers":[{"id":17,"name":"Free coffee"}]}"""));
            Assert.That(anonymous.Content.Headers.ContentType?.MediaType, Is.EqualTo("application/json"));
            Assert.That(anonymous.StatusCode, Is.EqualTo(HttpStatusCode.Accepted));
            Assert.That(await generated.Content.ReadAsStringAsync(), Is.EqualTo("""{"Id":17,"Name":"Free coffee"}"""));
            Assert.That(generated.StatusCode, Is.EqualTo(HttpStatusCode.Created));
            Assert.That(await _client.GetStringAsync("options"), Is.EqualTo("""{"ID":17,"NAME":"Free coffee"}"""));
        }
    }

    [Test]
    public async Task A_stream_is_opened_for_each_request()
    {
        _sparkfly.Answer(HttpMethod.Get, "menu.pdf", FakeSparkflyResponse.Stream(static () => new MemoryStream([1, 2, 3]), "application/pdf"));

        for (int i = 0; i < 2; i++)
        {
            using HttpResponseMessage response = await _client.GetAsync("menu.pdf", HttpCompletionOption.ResponseHeadersRead);
            Assert.That(await response.Content.ReadAsByteArrayAsync(), Is.EqualTo((byte[])[1, 2, 3]));
            Assert.That(response.Content.Headers.ContentType?.MediaType, Is.EqualTo("application/pdf"));
        }
    }

    [Test]
    public async Task A_response_may_have_headers_of_its_own_and_of_its_content()
    {
        FakeSparkflyResponse response = FakeSparkflyResponse.Json("{}");
        _sparkfly.Answer(HttpMethod.Get, "offers", response.WithHeader("Retry-After", "7").WithHeader("Content-Type", "application/hal+json"));
        _sparkfly.Answer(HttpMethod.Get, "plain", response);

        using HttpResponseMessage offers = await _client.GetAsync("offers");
        using HttpResponseMessage plain = await _client.GetAsync("plain");

        Assert.That(offers.Headers.RetryAfter?.Delta, Is.EqualTo(TimeSpan.FromSeconds(7)));
        Assert.That(offers.Content.Headers.ContentType?.ToString(), Is.EqualTo("application/hal+json"));
        Assert.That(plain.Headers.RetryAfter, Is.Null, "a response is not changed");
    }

    [Test]
    public async Task A_delay_is_on_the_fake_s_clock_from_the_moment_at_which_the_request_came()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.Json("{}").After(TimeSpan.FromMinutes(3)));

        for (int i = 1; i <= 20; i++)
        {
            Task<string> call = _client.GetStringAsync("offers");
            await _sparkfly.WaitForRequestsAsync(i).WaitAsync(TestApp.Patience);
            Assert.That(call.IsCompleted, Is.False);
            _time.Advance(TimeSpan.FromMinutes(3));

            Assert.That(await call.WaitAsync(TestApp.Patience), Is.EqualTo("{}"));
        }
    }

    [Test]
    public async Task A_delay_without_end_lasts_until_the_caller_gives_up()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.Json("{}").After(Timeout.InfiniteTimeSpan));
        using var cancelled = new CancellationTokenSource();
        Task call = _client.GetAsync("offers", cancelled.Token);
        await _sparkfly.WaitForRequestsAsync(1).WaitAsync(TestApp.Patience);
        _time.Advance(TimeSpan.FromDays(100));
        Assert.That(call.IsCompleted, Is.False);

        await cancelled.CancelAsync();

        Assert.That(async () => await call.WaitAsync(TestApp.Patience), Throws.InstanceOf<OperationCanceledException>());
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_connection_that_is_reset_is_the_platform_s_exception(Sending sending)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.ConnectionReset()).Then(HttpStatusCode.OK);

        HttpRequestException exception = await Thrown.By<HttpRequestException>(() => _client.GetAs(sending, "offers"));
        using HttpResponseMessage next = await _client.GetAs(sending, "offers");

        Assert.That(exception.InnerException, Is.TypeOf<IOException>());
        Assert.That(exception.InnerException!.InnerException, Is.TypeOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        Assert.That(next.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [TestCase(Sending.Async)]
    [TestCase(Sending.Sync)]
    public async Task A_timeout_is_the_client_s_and_takes_no_time(Sending sending)
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.Timeout());

        TaskCanceledException exception = await Thrown.By<TaskCanceledException>(() => _client.GetAs(sending, "offers"));

        Assert.That(exception.InnerException, Is.TypeOf<TimeoutException>());
        Assert.That(exception.Message, Does.Contain("HttpClient.Timeout"), "as HttpClient says it of its own");
    }

    [Test]
    public async Task Half_a_body_breaks_off_as_a_connection_does()
    {
        _sparkfly.Answer(HttpMethod.Get, "offers", FakeSparkflyResponse.HalfBody("0123456789"));

        using HttpResponseMessage response = await _client.GetAsync("offers", HttpCompletionOption.ResponseHeadersRead);
        await using Stream body = await response.Content.ReadAsStreamAsync();
        var read = new byte[10];
        int length = await body.ReadAsync(read);
        HttpIOException inTheMiddle = await Thrown.By<HttpIOException>(async () => await body.ReadExactlyAsync(read));
        HttpRequestException atOnce = await Thrown.By<HttpRequestException>(() => _client.GetStringAsync("offers"));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(response.Content.Headers.ContentLength, Is.EqualTo(10));
            Assert.That(read[..length], Is.EqualTo("01234"u8.ToArray()));
            Assert.That(inTheMiddle.HttpRequestError, Is.EqualTo(HttpRequestError.ResponseEnded));
            Assert.That(atOnce.InnerException, Is.TypeOf<HttpIOException>());
        }
    }

    [Test]
    public void What_makes_no_sense_is_refused()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(static () => FakeSparkflyResponse.Json("{}").After(TimeSpan.FromTicks(-1)), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(static () => FakeSparkflyResponse.Stream(static () => Stream.Null, ""), Throws.TypeOf<FormatException>());
            Assert.That(static () => FakeSparkflyResponse.Json("{}").WithHeader("", ""), Throws.ArgumentException);
        }
    }

    internal sealed record Offer(int Id, string Name);

    [JsonSerializable(typeof(Offer))]
    private sealed partial class Json : JsonSerializerContext;
}
