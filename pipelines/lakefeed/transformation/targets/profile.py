"""The output of dbt's profile for the declared warehouse."""

from __future__ import annotations

from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.transformation.targets.bigquery import output_of_bigquery
from lakefeed.transformation.targets.duckdb_file import output_of_file
from lakefeed.transformation.targets.ducklake import data_of, output_of_lake
from lakefeed.transformation.targets.snowflake import output_of_snowflake
from lakefeed.transformation.targets.spark import output_of_spark

# The module of dbt-duckdb's plugin (https://github.com/duckdb/dbt-duckdb#writing-your-own-plugins).
PLUGIN = "lakefeed.transformation.dbt_adapter.raw_access"


def output_of(project: Project) -> dict[str, Any]:
    """The output as `profiles.yml` has it; no secret."""
    kind = project.declaration.warehouse.type
    if kind == "spark":
        return output_of_spark(project)
    if kind == "snowflake":
        return output_of_snowflake(project)
    if kind == "bigquery":
        return output_of_bigquery(project)
    output = output_of_lake(project) if kind == "ducklake" else output_of_file(project)
    return {**output, "plugins": [{"module": PLUGIN, **_stores(project)}]}


def _stores(project: Project) -> dict[str, Any]:
    """Where the plugin finds the keys of object stores, the lake, and the values of variables."""
    is_file = data_of(project) is None and project.raw.is_local
    if is_file and project.reference_at("raw", "url") is None:
        return {}
    return {"config": {"project": project.seen_from_dbt(".")}}
