"""The Airflow DAG: its tasks, their order and its notifications. Only this package imports Airflow.

Imports: `declaration`, `declaration.document`, `loading.plan`, `orchestration`,
    `orchestration.build`, `orchestration.ingest`, `orchestration.inspect`,
    `orchestration.project`, `orchestration.reports`, `render`, `site`, `source.inspection`,
    `transformation`, `transformation.dbt_adapter`, `transformation.warehouse`.
"""

from lakefeed.dag.graph import build_dag

__all__ = ["build_dag"]
