"""A warehouse of Iceberg tables that Spark builds, reached by Spark Connect.

Imports: `declaration`, `transformation`, `transformation.dbt_adapter`, `transformation.targets`,
    `transformation.warehouse.base`.
Public: `warehouse_spark`.
"""
