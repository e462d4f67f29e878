"""The warehouse that `warehouse: {type: snowflake}` declares."""

from __future__ import annotations

from lakefeed.declaration.project import Project
from lakefeed.transformation.dataset import Dataset
from lakefeed.transformation.targets.snowflake import snowflake_of
from lakefeed.transformation.targets.snowflake_names import stored_name
from lakefeed.transformation.warehouse.base.warehouse import Inspection
from lakefeed.transformation.warehouse.clones.cloning_warehouse import CloningWarehouse
from lakefeed.transformation.warehouse.snowflake.inspection import inspect_snowflake
from lakefeed.transformation.warehouse.snowflake.snowflake_engine import SnowflakeEngine


class WarehouseSnowflake(CloningWarehouse):
    """A database of a Snowflake account."""

    def __init__(self, project: Project) -> None:
        self._snowflake = snowflake_of(project)
        super().__init__(project, "snowflake", SnowflakeEngine(self._snowflake))

    def inspect(self) -> Inspection:
        return inspect_snowflake(self._project, self._snowflake)

    def dataset(self, schema: str, name: str) -> Dataset:
        parts = map(stored_name, (self._snowflake.database, schema, name))
        return Dataset(f"snowflake://{self._snowflake.account}", ".".join(parts))
