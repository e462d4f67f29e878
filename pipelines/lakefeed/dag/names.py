"""Names of the DAG's tasks and assets, and which task loads which tables."""

from __future__ import annotations

from airflow.sdk import Asset

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table

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


def loads_of(project: Project) -> dict[str, tuple[Table, ...]]:
    """The tables of each load task, by task name.

    With `load: per_table` a task has the lake name of its table; with `per_source`, the name of its
    source.
    """
    if project.declaration.airflow.load == "per_table":
        return {table.lake_name: (table,) for table in project.tables}
    tables = {source: project.tables_of(source) for source in project.declaration.sources}
    return {source: of_source for source, of_source in tables.items() if of_source}


def asset_of(table: Table) -> Asset:
    """The asset that a load of this table updates."""
    return Asset(name=table.lake_name, uri=f"x-lakefeed://{table.lake_name}")
