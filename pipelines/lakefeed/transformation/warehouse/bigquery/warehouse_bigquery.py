"""A project of BigQuery in which readers see views of clones."""

from __future__ import annotations

from lakefeed.declaration.project import Project
from lakefeed.loading.object_store.duckdb_access import Session
from lakefeed.sql import quote
from lakefeed.transformation.dataset import Dataset
from lakefeed.transformation.targets.bigquery import bigquery_of
from lakefeed.transformation.warehouse.base.warehouse import Inspection
from lakefeed.transformation.warehouse.bigquery.bigquery_engine import BigQueryEngine
from lakefeed.transformation.warehouse.bigquery.inspection import inspect_bigquery
from lakefeed.transformation.warehouse.bigquery.lake_types import types_of_staged
from lakefeed.transformation.warehouse.clones.cloning_warehouse import CloningWarehouse


class WarehouseBigQuery(CloningWarehouse):
    """The datasets of a project."""

    def __init__(self, project: Project) -> None:
        super().__init__(project, "bigquery", BigQueryEngine(bigquery_of(project)))

    def dataset(self, schema: str, name: str) -> Dataset:
        return Dataset("bigquery", f"{bigquery_of(self._project).project}.{schema}.{name}")

    def inspect(self) -> Inspection:
        return inspect_bigquery(self._project, bigquery_of(self._project))

    def attach(self, session: Session, model: str) -> str:
        """Copies the model's rows, whose columns get the lake types that BigQuery doesn't have."""
        copied = super().attach(session, model)
        for name, kind in types_of_staged(self._project, model).items():
            column = quote(name)
            session.execute(f"alter table {copied} alter {column} type {kind}")
        return copied
