"""Loads the selected tables: one snapshot for each source, failures isolated by table.

Imports: `declaration`, `loading`, `loading.dlt_adapter`, `loading.plan`, `loading.sessions`,
    `orchestration`, `orchestration.project`, `orchestration.reports`, `source`,
    `source.connections`, `transformation.generate`.
Public: `load`, `preview`.
"""
