"""`lakefeed docs`: a static site that shows a lake, from plain data.

Imports: `declaration`, `orchestration.inspect`, `orchestration.reports`,
    `source`, `transformation.dbt_adapter`, `transformation.generate`, `transformation.lineage`,
    `transformation.warehouse`.
Public: `writing`.
"""
