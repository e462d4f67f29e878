"""Loads the selected tables: one snapshot for each source, failures isolated by table.

Imports: `declaration`, `loading`, `loading.dlt_settings`, `loading.plan`, `loading.raw`,
    `loading.sessions`, `loading.workers`, `orchestration`, `orchestration.project`,
    `orchestration.reports`, `source`, `source.connections`, `transformation.generate`.
Public: `load`, `load_request`, `preview`.
"""
