"""A warehouse that is a DuckLake: tables on a folder or object store, catalogue in PostgreSQL.

Imports: `declaration`, `loading.locks`, `loading.object_store`, `source.connections`,
    `transformation`, `transformation.dbt_adapter`, `transformation.targets`,
    `transformation.warehouse.base`, `transformation.warehouse.duckdb_file`.
Public: `warehouse_lake`.
"""
