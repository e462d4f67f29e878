"""The warehouse: which one a project declares, and what is orphaned in it.

Imports: `declaration`, `transformation`, `transformation.generate`,
    `transformation.warehouse.base`, `transformation.warehouse.bigquery`,
    `transformation.warehouse.duckdb_file`, `transformation.warehouse.ducklake`,
    `transformation.warehouse.snowflake`,
    `transformation.warehouse.spark`.
Public: `declared`, `orphaned_relations`.
"""
