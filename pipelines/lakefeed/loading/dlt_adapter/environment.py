"""What dlt must be told before it is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lakefeed.declaration.project import Project

NAMING = "lakefeed.loading.naming"
_LOG_LEVEL = "RUNTIME__LOG_LEVEL"
_FIXED = {
    "PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "SCHEMA__NAMING": NAMING,
    # Else the working directory keeps a second copy of every file that was ever loaded.
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    # dlt sleeps this long, twice a table, before it looks whether reading has ended.
    "EXTRACT__FUTURES_POLL_INTERVAL": "0.0005",
}
_DESTINATION = "lakefeed.loading.dlt_adapter.destination"
_ALL = (*_FIXED, "DLT_PROJECT_DIR", "DLT_DATA_DIR", _LOG_LEVEL)


def prepare_dlt(project: Project) -> None:
    """Points dlt at the project and away from Airflow's metadata database and from telemetry.

    Side effect: sets environment variables of this process. With Airflow installed dlt would look
    every configuration key up in Airflow's database (10 s for 30 tables, measured) and swap
    `sys.stdout`; the setting can't live in `.dlt/config.toml`, which is read later than that.
    """
    os.environ.update(
        _FIXED,
        DLT_PROJECT_DIR=str(project.root),
        DLT_DATA_DIR=str(project.data / ".dlt"),
    )
    # A job that fails is logged with its traceback, and raised as well: we say what it means.
    os.environ.setdefault(_LOG_LEVEL, "CRITICAL")


@contextmanager
def dlt_put_back() -> Iterator[None]:
    """What `prepare_dlt` sets, and where dlt looks for settings, are afterwards as before.

    For programs that use dlt themselves: both hold for the whole process.
    """
    variables = {name: os.environ.get(name) for name in _ALL}
    context = None
    if "dlt" in sys.modules:
        from lakefeed.loading.dlt_adapter.config_providers import present_context

        context = present_context()
    try:
        yield
    finally:
        _set(variables)
        if _DESTINATION in sys.modules:
            from lakefeed.loading.dlt_adapter.destination import put_back_context

            put_back_context(context)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
