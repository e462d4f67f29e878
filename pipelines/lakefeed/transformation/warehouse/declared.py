"""The warehouse that a project declares."""

from __future__ import annotations

from lakefeed.declaration.project import Project
from lakefeed.transformation.warehouse.base.warehouse import Warehouse
from lakefeed.transformation.warehouse.duckdb_file.warehouse_file import WarehouseFile


def warehouse_of(project: Project) -> Warehouse:
    """The project's warehouse; opens nothing."""
    if project.declaration.warehouse.type == "ducklake":
        # Needs packages of an extra.
        from lakefeed.transformation.warehouse.ducklake.warehouse_lake import WarehouseLake

        return WarehouseLake(project)
    if project.declaration.warehouse.type == "spark":
        from lakefeed.transformation.warehouse.spark.warehouse_spark import WarehouseSpark

        return WarehouseSpark(project)
    if project.declaration.warehouse.type == "snowflake":
        from lakefeed.transformation.warehouse.snowflake.warehouse_snowflake import (
            WarehouseSnowflake,
        )

        return WarehouseSnowflake(project)
    if project.declaration.warehouse.type == "bigquery":
        from lakefeed.transformation.warehouse.bigquery.warehouse_bigquery import WarehouseBigQuery

        return WarehouseBigQuery(project)
    return WarehouseFile(project)
