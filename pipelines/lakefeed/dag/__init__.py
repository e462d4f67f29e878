"""The Airflow DAG: its tasks, their order and its notifications. Only this package imports Airflow.

Imports: `declaration`, `declaration.document`, `declaration.environment`, `declaration.models`,
    `loading.plan`, `orchestration`, `orchestration.build`, `orchestration.ingest`,
    `orchestration.inspect`, `orchestration.log`, `orchestration.project`, `orchestration.reports`,
    `render`, `render.parts`, `site`, `source`, `source.connections`, `source.inspection`,
    `transformation`, `transformation.dbt_adapter`, `transformation.warehouse`.
"""

from lakefeed.extras import require

require("airflow.sdk", "airflow", "`lakefeed.dag`")

from lakefeed.dag.graph import build_dag, build_dags  # noqa: E402 - needs what was just asked for

__all__ = ["build_dag", "build_dags"]
