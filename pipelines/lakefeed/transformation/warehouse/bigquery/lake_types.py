"""The lake types of a staging model's columns: BigQuery's are fewer."""

from __future__ import annotations

from lakefeed.declaration.project import Project
from lakefeed.source.inspection.types import lake_type
from lakefeed.transformation.dbt_adapter.bigquery.types import bigquery_type
from lakefeed.transformation.model_names import staging_model


def types_of_staged(project: Project, model: str) -> dict[str, str]:
    """The lake types, by column, of a staging model's columns that BigQuery has as another type."""
    for table in project.tables:
        if table.catalogue is not None and staging_model(table.lake_name) == model:
            kinds = {
                column.name: lake_type(column.type).duckdb for column in table.catalogue.columns
            }
            return {
                name: kind
                for name, kind in kinds.items()
                if kind != "varchar" and bigquery_type(kind) != kind
            }
    return {}
