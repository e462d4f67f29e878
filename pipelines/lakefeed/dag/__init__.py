"""The Airflow DAG: what Airflow runs, in which order, whom it notifies. Alone imports Airflow.

Imports: `declaration`, `declaration.document`, `loading.plan`, `orchestration`,
    `orchestration.build`, `orchestration.ingest`, `orchestration.inspect`,
    `orchestration.project`, `orchestration.reports`, `render`, `site`, `source.inspection`,
    `transformation`, `transformation.dbt_adapter`.
"""

from lakefeed.dag.graph import build_dag

__all__ = ["build_dag"]
