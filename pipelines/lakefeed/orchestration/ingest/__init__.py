"""Loads the selected tables: one snapshot for each source, failures isolated by table.

Imports: `declaration`, `declaration.environment`, `declaration.models`, `loading`,
    `loading.dlt_settings`, `loading.forecast`, `loading.log`, `loading.plan`, `loading.raw`,
    `loading.sessions`, `loading.workers`,
    `orchestration`, `orchestration.build`, `orchestration.project`, `orchestration.reports`,
    `source`, `source.connections`, `transformation`, `transformation.generate`,
    `transformation.warehouse`.
Public: `load`, `load_request`, `plan_parts`, `preview`, `run_plan`.
"""
