"""A warehouse whose versions are clones of tables, on engines that make clones without copying.

Where dbt builds, readers don't look. Publishing clones what has changed and records in the
register what the version consists of; then readers are shown these clones. What an engine does in
its own way is in an `Engine`.

Imports: `declaration`, `loading.object_store`, `loading.raw`, `source.inspection`,
    `transformation`, `transformation.dbt_adapter`, `transformation.warehouse.base`,
    `transformation.warehouse.duckdb_file`, `transformation.warehouse.registered`.
Public: `cloning_warehouse`, `engine`, `publication`, `register`, `relations`.
"""
