"""The Airflow DAG: what Airflow runs, in which order, and what it tells people."""

from pipelines.dag.graph import build_dag

__all__ = ["build_dag"]
