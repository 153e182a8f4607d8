using System.Net;
using System.Net.Http.Json;
using CsCheck;
using SparkflyStandIn;

namespace Sparkfly.Auth.Handler.Tests;

/// <summary>Rule 4.4, for contents that nobody thought of.</summary>
[Category("Long")]
public class BodyPropertyTests
{
    private const int Limit = 40_000;

    /// <summary>Rule 4.4.</summary>
    [Test]
    public async Task Whatever_the_content_the_second_send_has_the_bytes_of_the_first_or_does_not_happen([Values] bool isAsync)
    {
        await using StandInServer server = await Sparkfly.StartAsync();
        Uploads uploads = Uploads.At(server);
        await using TestApp app = server.App(options =>
        {
            options.MaxReplayBodySize = Limit;
            options.UnauthorizedRefreshInterval = TimeSpan.Zero;
        });
        using HttpClient client = app.Client();
        using var bare = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = server.BaseAddress };

        await Tree(depth: 3).SampleAsync(
            async tree =>
            {
                uploads.Forget();
                using (HttpResponseMessage _ = await SendAsync(bare, tree, isAsync))
                {
                }

                Upload whole = uploads.All.Single();
                uploads.Forget();

                // A renewal that the sample before left running must not end after this.
                await app.Tokens.GetTokenAsync().AsTask().WaitAsync(TestApp.Patience);
                server.RevokeTokens();
                using HttpResponseMessage response = await SendAsync(client, tree, isAsync);

                bool isSentAgain = tree.IsReadAgain || whole.Length <= Limit;
                Assert.That(response.StatusCode, Is.EqualTo(isSentAgain ? HttpStatusCode.OK : HttpStatusCode.Unauthorized), $"{whole.Length} bytes");
                Assert.That(uploads.All, Is.EqualTo(Enumerable.Repeat(whole, isSentAgain ? 2 : 1)));
            },
            iter: 150,
            threads: 1,
            print: static tree => tree.ToString());
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, Node tree, bool isAsync)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "offers") { Content = tree.Make() };
        return await client.SendAsync(request, isAsync);
    }

    private static Gen<Node> Tree(int depth) => depth == 0
        ? Leaf
        : Gen.Frequency((2, Leaf), (1, Gen.Select(Gen.Bool, Tree(depth - 1).List[0, 4], Node.Multipart)));

    private static Gen<Node> Leaf => Gen.Select(Gen.Enum<Kind>(), Gen.Frequency((3, Gen.Int[0, 2_000]), (1, Gen.Int[0, 2 * Limit])), Node.Leaf);

    private enum Kind
    {
        Text,
        Bytes,
        Memory,
        Form,
        Seekable,
        SeekableWithLength,
        Buffered,
        OneWay,
        Lazy,
        Own,
    }

    /// <summary>A description of a content, which can be made again and again.</summary>
    private sealed record Node(string Description, bool IsReadAgain, Func<HttpContent> Make)
    {
        public static Node Leaf(Kind kind, int size)
        {
            byte[] bytes = Bodies.Bytes(size);
            int start = size / 3;
            return kind switch
            {
                Kind.Text => Of(true, () => new StringContent(new string('ä', size / 2))),
                Kind.Bytes => Of(true, () => new ByteArrayContent(bytes, start, size - start)),
                Kind.Memory => Of(true, () => new ReadOnlyMemoryContent(bytes)),
                Kind.Form => Of(true, () => new FormUrlEncodedContent([new("a b", new string('&', size / 4))])),
                Kind.Seekable => Of(true, () => new StreamContent(new MemoryStream(bytes) { Position = start })),
                Kind.SeekableWithLength => Of(true, () =>
                {
                    var content = new StreamContent(new MemoryStream(bytes));
                    content.Headers.ContentLength = size;
                    content.Headers.ContentLanguage.Add("en");
                    return content;
                }),
                Kind.Buffered => Of(true, () =>
                {
                    var content = new StreamContent(new OneWayStream(bytes));
                    content.LoadIntoBufferAsync().GetAwaiter().GetResult();
                    return content;
                }),
                Kind.OneWay => Of(false, () => new StreamContent(new OneWayStream(bytes))),
                Kind.Lazy => Of(false, () => JsonContent.Create(new Once<int>([.. Enumerable.Range(0, size / 4)]))),
                Kind.Own => Of(false, () => new OwnContent((time, stream) => stream.Write(time == 1 ? bytes : []), size % 2 == 0 ? size : null)),
                _ => throw new ArgumentOutOfRangeException(nameof(kind)),
            };

            Node Of(bool isReadAgain, Func<HttpContent> make) => new($"{kind} {size}", isReadAgain, make);
        }

        public static Node Multipart(bool isForm, List<Node> parts) => new(
            $"{(isForm ? "form" : "multipart")}({string.Join(", ", parts)})",
            parts.All(static part => part.IsReadAgain),
            () =>
            {
                MultipartContent content = isForm ? new MultipartFormDataContent("b") : new MultipartContent("mixed", "b");
                foreach (Node part in parts)
                {
                    content.Add(part.Make());
                }

                return content;
            });

        public override string ToString() => Description;
    }
}
