"""The dlt pipeline of one table, which reads its schema from disk only once.

dlt (1.31) reads and parses a pipeline's schema file at every access, nine times per load, in case
another process has changed it: an eighth of the time to load a small table. Here the table's lock
rules that out. If dlt renames the two methods, loads are slower but still correct
(tests/unit/loading/test_dlt.py).
"""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.common.storages import LiveSchemaStorage

from lakefeed.loading.dlt_adapter.patches import cache_pure_functions
from lakefeed.loading.dlt_adapter.path_templates import take_folders_literally


class TablePipeline(dlt.Pipeline):
    """The pipeline of a table. The caller must hold the table's lock."""

    def _configure(self, *args: Any, **kwargs: Any) -> None:
        super()._configure(*args, **kwargs)
        self._schema_storage = _CachedSchemas(self._schema_storage_config, makedirs=True)


class _CachedSchemas(LiveSchemaStorage):
    """Schemas that no other process writes, so that the copy in memory is current."""

    def __getitem__(self, name: str) -> Schema:
        known = self.live_schemas.get(name)
        if known is None or self.config.import_schema_path:
            return super().__getitem__(name)
        return known


cache_pure_functions()
take_folders_literally()
