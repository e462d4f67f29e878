"""The warehouse as all others know it: what it does, what it contains, and its state.

Imports: `declaration`, `loading.object_store`, `loading.raw`, `transformation`,
    `transformation.dbt_adapter`.
Public: `contents`, `duckdb_contents`, `duckdb_state`, `format`, `lease`, `ledger`,
    `matching_rows`, `public_names`, `publication_state`, `put_back`, `versions`, `warehouse`.
"""
