"""Runs dbt in this process and returns its results as plain data. Only this package imports dbt.

Imports: `declaration`, `declaration.environment`, `declaration.models`, `loading.object_store`,
    `loading.raw`, `transformation.generate`, `transformation.targets`.
Public: `announcement`, `dbt_docs`, `file_groups`, `runner`, `state_diff`.
"""
