using Microsoft.Data.Sqlite;

namespace MultiAccount;

/// <summary>An in-memory database of tenants. It exists until it is disposed.</summary>
internal sealed class TenantDatabase : IDisposable
{
    private const string ConnectionString = "Data Source=tenants;Mode=Memory;Cache=Shared";

    private readonly SqliteConnection _keepsItAlive = new(ConnectionString);

    public TenantDatabase()
    {
        _keepsItAlive.Open();
        using SqliteCommand command = _keepsItAlive.CreateCommand();
        command.CommandText = """
            CREATE TABLE tenants (name TEXT PRIMARY KEY, identity TEXT NOT NULL, key TEXT NOT NULL);
            INSERT INTO tenants VALUES ('corner-café', 'tenant-1', 'key-1'), ('noodle-bar', 'tenant-2', 'key-2');
            """;
        command.ExecuteNonQuery();
    }

    public static async Task<SqliteConnection> OpenAsync(CancellationToken cancellationToken)
    {
        var connection = new SqliteConnection(ConnectionString);
        await connection.OpenAsync(cancellationToken);
        return connection;
    }

    public void Dispose() => _keepsItAlive.Dispose();
}
