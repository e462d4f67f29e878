"""The demo: a small online shop in an embedded PostgreSQL, and Airflow without Docker.

Imports: `declaration`, `declaration.document`, `demo.spark`, `loading.raw`, `orchestration`,
    `orchestration.ingest`, `render`, `render.parts`, `site`, `transformation.generate`,
    `transformation.targets`, `transformation.warehouse`.
Public: `elsewhere`, `local_stack`, `processes`, `run`, `server`, `store`.
"""
