"""Inspection: the state of tables and runs, and the trace of a single row.

Imports: `declaration`, `declaration.environment`, `loading.plan`, `loading.raw`,
    `loading.sessions`, `orchestration`, `orchestration.build`, `orchestration.log`,
    `orchestration.project`, `orchestration.reports`, `source`, `source.inspection`,
    `transformation`, `transformation.generate`, `transformation.lineage`,
    `transformation.warehouse`, `transformation.warehouse.base`.
Public: `metrics`, `overview`, `status`, `trace`, `version_precedence`.
"""
