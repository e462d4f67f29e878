"""A warehouse that is a DuckDB file: candidate, published file and earlier versions are files.

Imports: `declaration`, `loading.locks`, `loading.object_store`, `transformation`,
    `transformation.dbt_adapter`,
    `transformation.targets`, `transformation.warehouse.base`.
Public: `failing_rows`, `open_file`, `warehouse_file`.
"""
