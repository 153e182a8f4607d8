namespace CheckCredentials;

/// <summary>Reports each token request: its address, and the status that came back. This handler sees neither credentials nor tokens.</summary>
internal sealed class ReportingHandler(TextWriter report) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        await report.WriteLineAsync($"{request.Method} {request.RequestUri}");
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        await report.WriteLineAsync($"  {(int)response.StatusCode} {response.StatusCode}");
        return response;
    }
}
