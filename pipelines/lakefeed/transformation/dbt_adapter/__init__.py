"""Runs dbt in this process and returns its results as plain data. Only this package imports dbt.

Imports: `declaration`, `transformation`, `transformation.generate`, `transformation.warehouse`.
Public: `dbt_docs`, `failing_rows`, `runner`, `state_diff`.
"""
