"""A warehouse of transient tables in a Snowflake database; its versions are zero-copy clones.

Imports: `declaration`, `loading.object_store`, `transformation`,
    `transformation.dbt_adapter.snowflake`, `transformation.targets`,
    `transformation.warehouse.base`, `transformation.warehouse.clones`,
    `transformation.warehouse.registered`.
Public: `warehouse_snowflake`.
"""
