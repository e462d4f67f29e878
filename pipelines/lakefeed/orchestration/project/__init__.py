"""A project's files: `init`, `sync`, the catalogue, table selection, the Airflow stack's secrets.

Imports: `declaration.document`, `declaration.environment`, `declaration.models`, `declaration`,
    `loading.plan`, `loading.raw`, `source.connections`, `source.inspection`,
    `transformation.generate`.
Public: `catalogue_sync`, `dags`, `init`, `selection`, `sync`.
"""
