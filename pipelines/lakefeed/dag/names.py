"""Names of the DAG's tasks and assets, and which task loads which tables."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.sdk import Asset, AssetAlias

from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.orchestration.project.dags import tables_of_dags

EXTRACT = "extract_postgres_to_raw"
STAGING = "raw_to_staging"
MARTS = "staging_to_marts"

BUILD_STAGING = "build_staging"
BUILD_MARTS = "build_marts"
BUILD = "build_models"
PUBLISH = "publish"
FRESHNESS = "freshness"
REPORT = "report"
DOCS = "docs"


def loads_of(project: Project, dag_id: str) -> dict[str, tuple[Table, ...]]:
    """The tables of each load task of a DAG, by task name; paused tables have none.

    With `load: per_table` a task has the lake name of its table; with `per_source`, the name of its
    source. The tables with `cursor: wal` of a source share one, so that its log is decoded once.
    """
    per_table = project.declaration.airflow.load == "per_table"
    loads: dict[str, tuple[Table, ...]] = {}
    for table in tables_of_dags(project)[dag_id]:
        # No table's name in the lake has a dot.
        shared = f"{table.source}.{LOG}" if per_table and table.reads_log else table.source
        name = table.lake_name if per_table and not table.reads_log else shared
        loads[name] = (*loads.get(name, ()), table)
    return loads


def asset_of(table: Table) -> Asset:
    """The asset that a load of this table updates."""
    return Asset(name=table.lake_name, uri=f"x-lakefeed://{table.lake_name}")


def outlets_of(project: Project, tables: Iterable[Table]) -> list[Asset | AssetAlias]:
    """What a load of these tables emits events by.

    Each asset emits one whenever its task succeeds; an alias, which has its table's name, only if
    the task says so.
    """
    if project.declaration.airflow.asset_events == "loads":
        return [asset_of(table) for table in tables]
    return [alias_of(table) for table in tables]


def alias_of(table: Table) -> AssetAlias:
    return AssetAlias(table.lake_name)
