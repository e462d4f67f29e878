"""Loads the selected tables: one snapshot for each source, failures isolated by table.

Imports: `declaration`, `loading`, `loading.dlt_settings`, `loading.log`, `loading.plan`,
    `loading.raw`, `loading.sessions`, `loading.workers`, `orchestration`, `orchestration.build`,
    `orchestration.project`, `orchestration.reports`, `source`, `source.connections`,
    `transformation`, `transformation.generate`, `transformation.warehouse`.
Public: `load`, `load_request`, `preview`, `run_plan`.
"""
