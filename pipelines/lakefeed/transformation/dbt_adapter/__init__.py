"""dbt, run in this process, with its results as plain data. The only importer of dbt.

Imports: `declaration`, `transformation`, `transformation.generate`, `transformation.warehouse`.
Public: `dbt_docs`, `failing_rows`, `runner`, `state_diff`.
"""
