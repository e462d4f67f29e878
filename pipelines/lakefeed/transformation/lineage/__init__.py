"""Lineage of models: the source columns and rows that their columns and rows come from.

Imports: `declaration`, `loading.raw`, `transformation`, `transformation.generate`,
    `transformation.warehouse.base`.
Public: `column_lineage`, `downstream_rows`, `project_lineage`.
"""
