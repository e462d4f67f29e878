"""A warehouse of datasets in a project of Google Cloud; its versions are clones of tables.

Imports: `declaration`, `loading.object_store`, `source.inspection`, `transformation`,
    `transformation.dbt_adapter.bigquery`, `transformation.targets`,
    `transformation.warehouse.base`, `transformation.warehouse.clones`,
    `transformation.warehouse.registered`.
Public: `warehouse_bigquery`.
"""
