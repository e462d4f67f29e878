"""The demo: a small online shop in an embedded PostgreSQL, and Airflow without Docker.

Imports: `declaration`, `declaration.document`, `loading.raw`, `orchestration`,
    `orchestration.ingest`, `render`, `site`, `transformation.generate`,
    `transformation.warehouse`.
Public: `run`, `server`.
"""
