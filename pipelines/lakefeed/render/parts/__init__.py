"""What reports on a terminal consist of: grids, grouped messages, rows of a table.

Imports: `declaration`, `declaration.models`, `loading.forecast`, `orchestration.ingest`,
    `orchestration.inspect`, `orchestration.reports`, `transformation.dbt_adapter`,
    `transformation.lineage`.
Public: `grid`, `grouping`, `plan_text`, `rows`, `wording`.
"""
