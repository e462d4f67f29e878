"""A project's files: `init`, `sync`, the catalogue, table selection, the Airflow stack's secrets.

Imports: `declaration`, `declaration.document`, `declaration.environment`, `declaration.models`,
    `loading.plan`, `loading.raw`, `orchestration.project.other_tools`,
    `orchestration.project.proposal`, `source.connections`, `source.inspection`,
    `source.replication`, `transformation.generate`.
Public: `catalogue_sync`, `dags`, `drift`, `init`, `live_log`, `scaffold`, `selection`, `sync`.
"""
