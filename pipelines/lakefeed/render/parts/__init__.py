"""What reports on a terminal consist of: grids, grouped messages, rows of a table.

Imports: `declaration`, `orchestration.inspect`, `orchestration.reports`,
    `transformation.dbt_adapter`, `transformation.lineage`.
Public: `grid`, `grouping`, `rows`, `wording`.
"""
