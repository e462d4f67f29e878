"""Loading the selected tables: one snapshot a source, failures kept apart.

Imports: `declaration`, `loading`, `loading.dlt_adapter`, `loading.plan`, `loading.sessions`,
    `orchestration`, `orchestration.project`, `orchestration.reports`, `source`,
    `source.connections`, `transformation.generate`.
Public: `load`, `preview`.
"""
