"""Which source columns, and which rows, the columns and rows of each model come from.

Imports: `declaration`, `loading.raw`, `transformation`, `transformation.generate`.
Public: `column_lineage`, `downstream_rows`, `project_lineage`.
"""
