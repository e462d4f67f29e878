"""As test_torture.py, with tables that are read from the log, and one that isn't."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from tests.conftest import NIGHTLY, Database, Lake
from tests.faults.test_torture import (
    SCHEMA,
    SEED,
    WHOLES,
    Writer,
    nothing_is_lost_or_duplicated,
    say,
    torture,
)

pytestmark = [pytest.mark.faults, pytest.mark.nightly, pytest.mark.at_night]

STEPS = 150 if NIGHTLY else 6
TABLES = """
customers: {cursor: wal, max_shrink: 100%, history: true}
orders: {cursor: wal, max_shrink: 100%, history: true}
rates: {mode: full_refresh, max_shrink: 100%}
accounts: {cursor: wal, max_shrink: 100%, history: true}
events: {cursor: wal, max_shrink: 100%}
readings: {cursor: xmin, deletes: remove, max_shrink: 100%}
lookups: {cursor: wal, max_shrink: 100%}
"""
# Rows of a partition that is detached stay, since the log has no deletes for them.
LOGGED = [replace(w, may_part=w.may_part and w.name == "readings") for w in WHOLES]


@pytest.mark.on_ducklake(at_night=True)
def test_the_log_loses_and_duplicates_nothing_by_random_writes_and_killed_runs(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(*SCHEMA)
    publish(lake.declare(TABLES))
    writer = Writer(logical_database, random.Random(SEED), LOGGED)

    torture(lake, writer, STEPS, between=lambda: publish(lake))

    publish(lake)
    settle(lake)
    nothing_is_lost_or_duplicated(lake, logical_database)


def publish(lake: Lake) -> None:
    """Has the source keep the log of tables that were replaced, unless a writer is in the way."""
    said = lake.command("cdc", "setup", "--apply", "--allow-unbounded-wal")
    assert said.returncode == 0 or "has been writing to a table" in said.stdout, said


def settle(lake: Lake) -> None:
    """Runs to the end; tables that say so are read in full."""
    ended = lake.command("run")
    say(ended.stdout)
    for table in set(re.findall(r"--select (\S+) --full-refresh", ended.stdout + ended.stderr)):
        say(f"read in full: {table}")
        assert lake.command("run", "--select", table, "--full-refresh").returncode == 0
    ended = lake.command("run")
    assert ended.returncode == 0, ended.stdout + ended.stderr
