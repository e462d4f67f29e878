"""The warehouse as all others know it: what it does, what it contains, and its state.

Imports: `declaration`, `loading.object_store`, `transformation`, `transformation.dbt_adapter`.
Public: `contents`, `duckdb_contents`, `duckdb_state`, `format`, `ledger`, `public_names`,
    `publication_state`, `put_back`, `versions`, `warehouse`.
"""
