"""How raw is reached where it is in an object store: by fsspec, by DuckDB, with which credentials.

Imports: `declaration`, `declaration.environment`, `loading.dlt_settings`.
Public: `duckdb_access`, `file_cache`, `filesystem`, `store_check`, `writing`.
"""
