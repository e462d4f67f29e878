"""What surrounds a run of dbt in this process: its folder, its warehouse file, its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any

from lakefeed.transformation.warehouse.open_file import NEW_FILES


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Like `contextlib.chdir`, but also works if the current folder has been removed."""
    try:
        before = Path.cwd()
    except FileNotFoundError:
        before = folder
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.chdir(before)


@contextmanager
def opening(warehouse: Path) -> Iterator[None]:
    """Makes dbt-duckdb open this file, whatever path the profile has, and create it as we do.

    Another path in the profile, which may be hand-written, would invalidate dbt's parse cache
    (https://docs.getdbt.com/reference/parsing#known-limitations).
    """
    from dbt.adapters.duckdb.environments import Environment

    original = Environment.__dict__["initialize_db"]

    def open_warehouse(environment: Any, credentials: Any, plugins: Any = None) -> Any:
        elsewhere = copy(credentials)
        elsewhere.path = str(warehouse)
        elsewhere.config_options = NEW_FILES | (credentials.config_options or {})
        return original.__func__(environment, elsewhere, plugins)

    Environment.initialize_db = classmethod(open_warehouse)
    try:
        yield
    finally:
        Environment.initialize_db = original


@contextmanager
def quiet_environment(command: str) -> Iterator[None]:
    """Turns off dbt's telemetry and hides this process's command line; restores both on exit.

    dbt writes `sys.argv` into its logs and artifacts
    (https://github.com/dbt-labs/dbt-core/issues/10313). Ours may contain personal data, such as the
    key of a row to erase.
    """
    before = os.environ.get("DBT_SEND_ANONYMOUS_USAGE_STATS")
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    ours, sys.argv = sys.argv, ["dbt", command]
    try:
        yield
    finally:
        sys.argv = ours
        if before is None:
            del os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"]
        else:
            os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = before
