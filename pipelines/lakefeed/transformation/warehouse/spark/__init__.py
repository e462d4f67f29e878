"""A warehouse of Iceberg tables that Spark builds, reached by Spark Connect or a Thrift server.

Imports: `declaration`, `declaration.models`, `loading.object_store`, `loading.raw`,
    `source.inspection`, `transformation`, `transformation.dbt_adapter`,
    `transformation.dbt_adapter.spark`, `transformation.targets`, `transformation.warehouse.base`,
    `transformation.warehouse.duckdb_file`, `transformation.warehouse.registered`.
Public: `warehouse_spark`.
"""
