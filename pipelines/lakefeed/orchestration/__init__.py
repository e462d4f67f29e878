"""Order, selection and reporting: what the command line and the DAG both call.

Imports: `declaration`, `loading.raw`, `orchestration.build`, `orchestration.ingest`,
    `orchestration.reports`.
Public: `permissions`, `run`.
"""
