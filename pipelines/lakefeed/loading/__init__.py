"""Loads tables from the source into the raw layer, one load per table. The only importer of dlt.

Imports: `declaration`, `loading.comparison`, `loading.dlt_adapter`, `loading.extract`,
    `loading.locks`, `loading.log`, `loading.plan`, `loading.ranges`, `loading.raw`,
    `loading.sessions`, `source`, `source.connections`, `source.inspection`.
Public: `accepted_changes`, `error_translation`, `first_load`, `load`, `load_result`, `naming`,
    `probe`, `probe_many`, `reconcile`, `standby`.
"""
