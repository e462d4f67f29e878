"""`lakefeed check --warehouse --conformance`: tests what Lakefeed promises on a user's own engine.

Imports: `conformance.promises`, `declaration`, `declaration.document`, `declaration.environment`,
    `demo`, `loading.dlt_settings`, `loading.object_store`, `loading.sessions`, `orchestration`,
    `orchestration.ingest`, `orchestration.project`, `orchestration.reports`, `render`,
    `source.connections`, `transformation`, `transformation.targets`, `transformation.warehouse`,
    `transformation.warehouse.base`.
Public: `deaths`, `readers`, `run`, `spelling`, `trial`, `values`.
"""
