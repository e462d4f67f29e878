"""dbt-duckdb's plugin: announces loads to macros, gives sessions access to stores and the lake.

The generated profile names it, so that `dbt build` works just as `lakefeed build` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Location, Project, open_project
from lakefeed.loading.object_store.duckdb_access import give_access, give_secret
from lakefeed.transformation.dbt_adapter.announcement import announce
from lakefeed.transformation.dbt_adapter.surroundings import make_checks
from lakefeed.transformation.targets.ducklake import LAKE, attach_for_dbt, data_of, lake_of


class Plugin(BasePlugin):  # type: ignore[misc]
    """Announces loads to the macros that ask for them, and gives access to object stores.

    Access is given when the session is opened, and for each model and test again: keys that expire
    are so renewed during a long build.
    """

    _raw: Location | None = None
    _lake: Location | None = None
    _project: Project | None = None

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Finds the stores of the project in the folder `project`, seen from the dbt project.

        The profile of a project that has everything on the disk names no folder.
        """
        if folder := plugin_config.get("project"):
            self._project = project = open_project(Path(folder))
            self._raw, self._lake = project.raw, data_of(project)

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Prepares the session, and attaches the lake.

        dbt-duckdb would do so afterwards, by an extension that it downloads, and with a path of the
        files that isn't the lake's, where they are in the project's folder.
        """
        self.configure_cursor(conn)
        if self._project and self._lake:
            attach_for_dbt(conn, lake_of(self._project))

    def configure_cursor(self, cursor: DuckDBPyConnection) -> None:
        make_checks()
        if self._raw:
            give_access(cursor, self._raw)
        if self._lake:
            give_secret(cursor, self._lake, name=LAKE)

    def store(self, target_config: TargetConfig) -> None:
        """Announces loads: completes the models in the config, since it can't return anything.

        dbt-duckdb has no other way for a macro to call a plugin.
        """
        asked = target_config.config
        announce(asked["models"].values(), self._raw, asked["as_of"])
