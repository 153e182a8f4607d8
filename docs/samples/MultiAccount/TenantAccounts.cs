using Microsoft.Data.Sqlite;
using Sparkfly.Auth.Handler;

namespace MultiAccount;

/// <summary>The accounts of tenants. The package looks up each name that is not registered.</summary>
internal sealed class TenantAccounts : ISparkflyAccountSource
{
    public async ValueTask<SparkflyAuthOptions?> FindAsync(string name, CancellationToken cancellationToken)
    {
        await using SqliteConnection connection = await TenantDatabase.OpenAsync(cancellationToken);
        await using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT identity, key FROM tenants WHERE name = $name";
        command.Parameters.AddWithValue("$name", name);
        await using SqliteDataReader tenant = await command.ExecuteReaderAsync(cancellationToken);
        return await tenant.ReadAsync(cancellationToken)
            ? new SparkflyAuthOptions { Identity = tenant.GetString(0), Key = tenant.GetString(1) }
            : null;
    }
}
