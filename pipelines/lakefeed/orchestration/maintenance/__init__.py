"""`lakefeed prune` and `unlock`: data no longer needed, orphaned tables, one key, stuck runs.

Imports: `declaration`, `loading.dlt_adapter`, `loading.locks`, `loading.maintenance`,
    `loading.raw`, `orchestration.build`, `orchestration.project`, `orchestration.reports`,
    `source.connections`, `transformation`, `transformation.dbt_adapter`,
    `transformation.generate`, `transformation.warehouse`.
Public: `erase`, `orphaned_tables`, `prune`, `unlock`.
"""
