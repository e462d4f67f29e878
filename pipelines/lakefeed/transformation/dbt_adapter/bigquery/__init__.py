"""What BigQuery can't do in SQL: loading exactly the files of loads, with all types of raw.

Imports: `declaration`, `loading.dlt_settings`, `loading.raw`, `source.inspection`,
    `transformation.dbt_adapter`, `transformation.targets`.
dbt's adapter (pipelines/dbt) uses it as well.
Public: `types`.
"""
