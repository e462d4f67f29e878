"""What Snowflake can't do in SQL: reading exactly the files of loads, with all types of raw.

Imports: `declaration`, `loading.raw`, `source.inspection`, `transformation.dbt_adapter`,
    `transformation.targets`.
dbt's adapter (pipelines/dbt) uses it as well.
Public: `key_forms`, `staged_files`, `types`.
"""
