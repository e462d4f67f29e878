"""Tells Airflow's OpenLineage provider, where it is installed, what a task reads and writes.

The provider asks an operator for it by a method of this name
(https://airflow.apache.org/docs/apache-airflow-providers-openlineage/stable/guides/developer.html),
in the task's own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator

from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.table import Table
from lakefeed.declaration.table_names import split
from lakefeed.transformation.dataset import Dataset, dataset_in

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from lakefeed.transformation.manifest import Model


@dataclass(frozen=True)
class Lineage:
    """What a task reads and writes."""

    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]


class TracedOperator(PythonOperator):  # type: ignore[misc]
    """Runs a function, and can say of which datasets it makes which others.

    Args:
        lineage: gives them; called only by the provider, when the task has ended.
    """

    def __init__(self, *, lineage: Callable[[], Lineage] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._lineage = lineage

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage | None:
        """What the provider sends to where lineage is kept."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        if self._lineage is None:
            return None
        found = self._lineage()
        return OperatorLineage(
            inputs=[_as_openlineage(dataset) for dataset in found.inputs],
            outputs=[_as_openlineage(dataset) for dataset in found.outputs],
        )


def lineage_of_loads(root: Path, lake_names: Sequence[str]) -> Lineage:
    """The lineage of a load: the tables in the database, and their folders in raw."""
    project = open_project(root)
    tables = [project.table(name) for name in lake_names]
    return Lineage(
        tuple(dataset for table in tables for dataset in _in_source(project, table)),
        tuple(_in_raw(project, table) for table in tables),
    )


def lineage_of_layer(root: Path, lake_names: Sequence[str], *, is_staging: bool) -> Lineage:
    """The lineage of a build: of the staging models of these tables, or of all others below."""
    from lakefeed.transformation.manifest import fed_by, read_models

    project = open_project(root)
    models = read_models(project)
    built = [m for m in fed_by(models, lake_names) if m.is_staging == is_staging and not m.is_seed]
    return _lineage_of(project, models, built)


def lineage_of_model(root: Path, name: str) -> Lineage:
    """The lineage of one model."""
    from lakefeed.transformation.manifest import read_models

    project = open_project(root)
    models = read_models(project)
    return _lineage_of(project, models, [model for model in models if model.name == name])


def dataset_of_model(project: Project, model: Model) -> Dataset:
    """The table or view of a model in the warehouse, whatever that is."""
    from lakefeed.transformation.warehouse.declared import warehouse_of

    return warehouse_of(project).dataset(model.schema, model.identifier)


def _lineage_of(project: Project, models: Sequence[Model], built: Sequence[Model]) -> Lineage:
    """What these models read but aren't themselves, and what they are."""
    reads = {name for model in built for name in (*model.reads_models, *model.reads_tables)}
    inputs = [_in_raw(project, table) for table in project.tables if table.lake_name in reads]
    inputs += [dataset_of_model(project, m) for m in models if m.name in reads and m not in built]
    return Lineage(tuple(inputs), tuple(dataset_of_model(project, model) for model in built))


def _in_source(project: Project, table: Table) -> Iterator[Dataset]:
    """The table in PostgreSQL; the tables that it reads, if it is a query."""
    from lakefeed.source.connections.connection import connection_of
    from lakefeed.source.statement import tables_read

    host, port, database = connection_of(project, table.source).server
    columns = table.catalogue.columns if table.catalogue and table.query is None else ()
    for qualified in tables_read(table) or (table.qualified,):
        yield Dataset(
            f"postgres://{host}:{port}",
            ".".join((database, *split(qualified))),
            tuple((column.name, column.type) for column in columns),
        )


def _in_raw(project: Project, table: Table) -> Dataset:
    return dataset_in(project.raw, table.lake_name)


def _as_openlineage(dataset: Dataset) -> Any:
    from openlineage.client.event_v2 import Dataset as Sent
    from openlineage.client.facet_v2 import schema_dataset

    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=kind)
        for name, kind in dataset.columns
    ]
    facets = {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)} if fields else {}
    return Sent(namespace=dataset.namespace, name=dataset.name, facets=facets)
