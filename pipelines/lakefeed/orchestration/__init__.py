"""Orchestration: the operations that the command line and the DAG share.

Imports: `declaration`, `loading.raw`, `orchestration.build`, `orchestration.ingest`,
    `orchestration.reports`.
Public: `permissions`, `run`.
"""
