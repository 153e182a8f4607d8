using CheckCredentials;
using Microsoft.Extensions.Configuration;

// Reads what an application reads, from the current folder. Options:
//   --Account=tacos           checks the section Sparkfly:tacos instead of Sparkfly
//   --UserSecretsId=id        reads the user secrets of another project
//   --Sparkfly:BaseAddress=…  any setting that is not a secret
IConfigurationRoot commandLine = new ConfigurationBuilder().AddCommandLine(args).Build();
string environment = Environment.GetEnvironmentVariable("DOTNET_ENVIRONMENT") ?? "Development";
ConfigurationBuilder sources = new();
sources.SetBasePath(Directory.GetCurrentDirectory())
    .AddJsonFile("appsettings.json", optional: true)
    .AddJsonFile($"appsettings.{environment}.json", optional: true);
if (commandLine["UserSecretsId"] is { } userSecretsId)
{
    sources.AddUserSecrets(userSecretsId);
}
else
{
    sources.AddUserSecrets<Program>();
}

IConfigurationRoot configuration = sources.AddEnvironmentVariables().AddCommandLine(args).Build();
return await CredentialCheck.RunAsync(configuration, configuration["Account"] ?? "", Console.Out) ? 0 : 1;
