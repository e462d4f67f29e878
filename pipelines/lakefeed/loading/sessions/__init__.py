"""DuckDB engines and PostgreSQL sessions that read many tables at one snapshot.

Imports: `declaration`, `loading.plan`, `source`, `source.connections`.
Public: `duckdb_engine`, `retryable`, `session`, `snapshot_sessions`, `table_session`,
    `transactions`.
"""
