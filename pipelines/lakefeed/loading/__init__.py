"""Source to raw: one load of one table, and what the raw layer holds. The only importer of dlt.

Imports: `declaration`, `loading.dlt_adapter`, `loading.extract`, `loading.locks`,
    `loading.plan`, `loading.raw`, `loading.sessions`, `source`, `source.connections`,
    `source.inspection`.
Public: `error_translation`, `load`, `load_result`, `naming`, `preview`, `probe`, `reconcile`,
    `standby`.
"""
