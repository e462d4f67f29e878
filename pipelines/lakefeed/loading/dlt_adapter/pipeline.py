"""One table's dlt pipeline, which doesn't read its own schema again and again.

dlt reads and builds a pipeline's schema from its file whenever it is asked for, nine times a load,
lest another process has changed it: an eighth of what loading a small table cost. Ours has the
table's lock. Should dlt name these two methods otherwise, it is as slow again and as right
(tests/unit/loading/test_dlt.py).
"""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.common.storages import LiveSchemaStorage

from lakefeed.loading.dlt_adapter.patches import remember_derived
from lakefeed.loading.dlt_adapter.path_templates import take_folders_literally


class TablePipeline(dlt.Pipeline):
    """The pipeline of a table whose lock is held."""

    def _configure(self, *args: Any, **kwargs: Any) -> None:
        super()._configure(*args, **kwargs)
        self._schema_storage = _OwnSchemas(self._schema_storage_config, makedirs=True)


class _OwnSchemas(LiveSchemaStorage):
    """Schemas that nobody else writes."""

    def __getitem__(self, name: str) -> Schema:
        known = self.live_schemas.get(name)
        if known is None or self.config.import_schema_path:
            return super().__getitem__(name)
        return known


remember_derived()
take_folders_literally()
