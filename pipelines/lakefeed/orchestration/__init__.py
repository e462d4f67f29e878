"""Orchestration: the operations that the command line and the DAG share.

Imports: `declaration`, `loading.object_store`, `orchestration.build`, `orchestration.ingest`,
    `orchestration.reports`, `transformation.warehouse`.
Public: `permissions`, `run`.
"""
