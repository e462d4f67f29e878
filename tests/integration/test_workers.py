"""Runs of many tables load them in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing

import pytest

from lakefeed.errors import LakefeedError
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.workers.messages import Setup
from lakefeed.loading.workers.pool import Workers
from lakefeed.orchestration.checks.audit import at_one_snapshot
from lakefeed.orchestration.ingest.table_loads import FEWEST_TABLES, usable_cores
from tests.conftest import Database, Lake, failure

MANY = [f"t{number:02}" for number in range(FEWEST_TABLES)]
DECLARED = "\n".join(f"{name}: {{cursor: at}}" for name in MANY)
WHICH = """
import sys
from pathlib import Path
from lakefeed.declaration.project import open_project
from lakefeed.orchestration.ingest.load import load
from lakefeed.orchestration.ingest.load_request import LoadRequest

assert load(open_project(Path()), LoadRequest())[1].exit_code == 0
print("this process" if "dlt.pipeline" in sys.modules else "workers")
"""

needs_workers = pytest.mark.skipif(usable_cores() == 1, reason="one core has no use for workers")
pytestmark = [needs_workers, pytest.mark.builds]


def declare_many(database: Database, lake: Lake) -> Lake:
    """Declares a dozen tables of two rows."""
    for name in MANY:
        database.execute(
            f"create table {name} (id int primary key, at timestamptz default now())",
            f"insert into {name} values (1), (2)",
        )
    return lake.declare(DECLARED)


@pytest.fixture
def many(database: Database, lake: Lake) -> Lake:
    return declare_many(database, lake)


def loads_in(lake: Lake, cores: set[int] | None = None) -> str:
    """Which processes load the tables of a run on these cores: those that import dlt."""
    limit = f"import os; os.sched_setaffinity(0, {cores})" if cores else ""
    ended = subprocess.run(
        [sys.executable, "-c", f"{limit}\n{WHICH}"],
        check=False,
        cwd=lake.root,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_many_tables_are_loaded_by_workers_and_few_by_the_run_itself(
    database: Database, many: Lake
) -> None:
    assert loads_in(many) == "workers"
    assert [many.raw(f"shop__{name}", "id") for name in MANY] == [[(1,), (2,)]] * len(MANY)

    database.execute("insert into t00 values (3)")
    assert loads_in(many) == "this process"
    assert many.raw("shop__t00", "id") == [(1,), (2,), (3,)]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can't be taken away here")
def test_one_core_has_no_use_for_workers(many: Lake) -> None:
    assert loads_in(many, cores={min(os.sched_getaffinity(0))}) == "this process"


def test_all_workers_read_at_the_snapshot_of_the_run(database: Database, many: Lake) -> None:
    many.load()
    database.execute(*(f"insert into {name} values (3)" for name in MANY))

    many.load()

    logs = [CommitLog(many.project.raw, f"shop__{name}").loads() for name in MANY]
    assert [len({log[load].snapshot_at for log in logs}) for load in (0, 1)] == [1, 1]


def test_a_table_that_fails_in_a_worker_fails_alone_and_says_why(
    database: Database, many: Lake
) -> None:
    database.execute(
        "create table bad (id int primary key, amount numeric(5,2))",
        "insert into bad values (1, 'NaN')",
    )

    report = many.declare(f"bad: {{mode: full_refresh}}\n{DECLARED}").load()

    assert [table.status for table in report.tables] == ["failed"] + ["loaded"] * len(MANY)
    assert "column amount holds NaN in a numeric(5,2)" in failure(report)


def test_a_table_that_several_sessions_read_is_read_by_the_run_itself(
    database: Database, many: Lake
) -> None:
    database.execute(
        "create table big as select i as id, repeat('x', 1000) as filler"
        " from generate_series(1, 80000) as i"
    )

    report = many.declare(f"big: {{mode: full_refresh}}\n{DECLARED}").load()

    assert [table.status for table in report.tables] == ["loaded"] * (len(MANY) + 1)
    assert report.tables[0].files > 1


class Broken(Setup):
    """Can't be received."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return int, ("not a number",)


def test_a_worker_that_fails_by_itself_says_why(many: Lake) -> None:
    with at_one_snapshot(many.project, "shop") as (source, live):
        plan = plan_table(many.project.tables[0], live.tables["public.t00"])
        with closing(Workers(Broken(many.project, source.connection, source.snapshot), 1)) as one:
            with pytest.raises(LakefeedError, match="failed: ValueError: invalid literal"):
                one.load(source, plan, LoadOptions())
            with pytest.raises(LakefeedError, match="the process that loads it has ended"):
                one.load(source, plan, LoadOptions())
