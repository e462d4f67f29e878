"""Settings of dlt that must be in the environment before it is imported."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lakefeed.declaration.environment.variables import data_folder

NAMING = "lakefeed.loading.naming"
_LOG_LEVEL = "RUNTIME__LOG_LEVEL"
_FIXED = {
    "PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "SCHEMA__NAMING": NAMING,
    # Load manifests have what a later load needs. dlt's state would be one more thing to extract,
    # normalize and upload for each table, and could name a checkpoint that no load has reached.
    "RESTORE_FROM_DESTINATION": "false",
    # By default the working directory keeps a second copy of every file ever loaded.
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    # dlt sleeps this long, twice per table, before it checks whether the read has finished.
    "EXTRACT__FUTURES_POLL_INTERVAL": "0.0005",
}
VARIABLES = (*_FIXED, "DLT_PROJECT_DIR", "DLT_DATA_DIR", _LOG_LEVEL)


def prepare_dlt(root: Path) -> None:
    """Points dlt at a project's folder, and turns off its Airflow secrets provider and telemetry.

    With Airflow installed, dlt would look up every configuration key in Airflow's metadata database
    (10 s for 30 tables) and replace `sys.stdout`. The setting can't be in `.dlt/config.toml`, which
    is read later; it can go once dlt disables the provider by default (dlt-hub/dlt#3006).

    Side effect: sets environment variables of this process.
    """
    os.environ.update(
        _FIXED,
        DLT_PROJECT_DIR=str(root),
        DLT_DATA_DIR=str(data_folder(root) / ".dlt"),
    )
    # dlt both logs and raises the error of a failed job; Lakefeed reports the raised one.
    os.environ.setdefault(_LOG_LEVEL, "CRITICAL")


def import_pandas() -> None:
    """Imports pandas if it is installed; called before threads are started that load tables.

    Lakefeed doesn't need it, but DuckDB, pyarrow and dlt look for it, and it imports pyarrow. If a
    thread imports pandas and another one pyarrow, each waits for the other, and Python lets one go
    on with a module that is imported half.
    """
    with suppress(Exception):
        import pandas  # type: ignore[import-untyped]  # noqa: F401
