"""What dlt must be told before it is imported."""

from __future__ import annotations

import os

from lakefeed.declaration.project import Project

NAMING = "lakefeed.loading.naming"


def prepare_dlt(project: Project) -> None:
    """Points dlt at the project and away from Airflow's metadata database and from telemetry.

    Side effect: sets environment variables of this process. With Airflow installed dlt would look
    every configuration key up in Airflow's database (10 s for 30 tables, measured) and swap
    `sys.stdout`; the setting can't live in `.dlt/config.toml`, which is read later than that.
    """
    os.environ["PROVIDERS__ENABLE_AIRFLOW_SECRETS"] = "false"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_PROJECT_DIR"] = str(project.root)
    os.environ["DLT_DATA_DIR"] = str(project.data / ".dlt")
    os.environ["SCHEMA__NAMING"] = NAMING
    # Else the working directory keeps a second copy of every file that was ever loaded.
    os.environ["LOAD__DELETE_COMPLETED_JOBS"] = "true"
    # dlt sleeps this long, twice a table, before it looks whether reading has ended.
    os.environ["EXTRACT__FUTURES_POLL_INTERVAL"] = "0.0005"
    # A job that fails is logged with its traceback, and raised as well: we say what it means.
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
