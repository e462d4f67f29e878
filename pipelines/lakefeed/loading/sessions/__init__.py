"""DuckDB engines and PostgreSQL sessions that read many tables at one snapshot.

Imports: `declaration`, `loading.object_store`, `loading.plan`, `source`, `source.connections`,
    `source.inspection`, `source.log`.
Public: `duckdb_engine`, `probing_session`, `read_progress`, `retryable`, `session`,
    `snapshot_sessions`, `spill_folders`, `table_session`, `transactions`.
"""
