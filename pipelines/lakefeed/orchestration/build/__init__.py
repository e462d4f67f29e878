"""Decides when dbt runs and what is published: build plan, hold-back, rollback, rebuild.

Imports: `declaration`, `loading.maintenance`, `loading.raw`, `orchestration`,
    `orchestration.reports`, `transformation`, `transformation.dbt_adapter`,
    `transformation.generate`, `transformation.warehouse`, `transformation.warehouse.base`.
Public: `build`, `build_plan`, `publish`, `rebuild`, `rollback`.
"""
