"""The probe: a run without new rows reads little, writes nothing and doesn't start dlt."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import Database, Lake, only

pytestmark = pytest.mark.builds

T = (
    "create table t (id int primary key, word text, at timestamptz default now())",
    "insert into t select i, 'w' || i from generate_series(1, 100) i",
)
IMPORTED = """
import sys
sys.argv = ["lakefeed", "run"]
from lakefeed.cli.main import main
try:
    main()
finally:
    print("imported", sorted({"dlt", "dbt", "sqlalchemy", "airflow"} & set(sys.modules)))
"""


def run_and_report_imports(lake: Lake) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=lake.root, env=os.environ.copy(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    "declared", ["cursor: at, lookback: 1d", "mode: full_refresh", "cursor: xmin"]
)
def test_a_run_without_new_rows_does_not_start_dlt(
    database: Database, lake: Lake, declared: str
) -> None:
    database.execute(*T)
    lake.declare(f"t: {{{declared}}}").run()

    output = run_and_report_imports(lake)

    assert "nothing new in 1 table" in output
    assert "imported []" in output


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    ("kind", "values", "declared"),
    [
        ("timestamptz", ["infinity", "2999-01-01", "2020-01-01", "0044-03-15 BC"], "at"),
        ("timestamp", ["infinity", "12020-01-01", "2020-01-01"], "{column: at, timezone: UTC}"),
        ("date", ["infinity", "2020-01-01"], "{column: at, timezone: UTC}"),
        ("bigint", ["9", "10"], "at"),
    ],
)
def test_rows_at_the_newest_cursor_are_not_taken_for_new(
    database: Database, lake: Lake, kind: str, values: list[str], declared: str
) -> None:
    rows = ", ".join(f"({number}, '{value}')" for number, value in enumerate(values))
    database.execute(
        f"create table t (id int primary key, at {kind})",
        f"insert into t values {rows}",
    )
    lake.declare(f"t: {{cursor: {declared}}}").load()

    assert only(lake.load()).status == "unchanged"
    assert "'dlt'" not in run_and_report_imports(lake)


@pytest.mark.by_day(4)
@pytest.mark.parametrize(
    "change",
    [
        "insert into t values (101, 'new')",
        "update t set word = 'x', at = now() where id = 7",
        "update t set word = 'x' where id = 7",
        "insert into t values (101, 'null', null)",
    ],
)
@pytest.mark.parametrize(
    "declared", ["cursor: at, lookback: 1d", "mode: full_refresh", "cursor: xmin"]
)
def test_any_kind_of_change_is_loaded(
    database: Database, lake: Lake, declared: str, change: str
) -> None:
    database.execute(*T)
    lake.declare(f"t: {{{declared}}}").load()
    database.execute(change)

    assert only(lake.load()).status == "loaded"


def test_a_deletion_in_a_full_refresh_table_is_loaded(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {mode: full_refresh}").load()
    database.execute("delete from t where id = 7")

    assert only(lake.load()).status == "loaded"


def test_more_rows_than_the_probe_reads_are_left_to_the_load(
    database: Database, lake: Lake
) -> None:
    database.execute(*T, "insert into t select i, 'w' from generate_series(101, 30000) i")
    lake.declare("t: {cursor: at, lookback: 1d}").load()

    assert (only(lake.load()).status, only(lake.load()).rows_read) == ("unchanged", 30000)


def test_the_report_has_the_rows_that_were_read_again_and_the_checkpoint(
    database: Database, lake: Lake
) -> None:
    database.execute(*T, "insert into t values (0, 'null', null)")
    first = only(lake.declare("t: {cursor: at, lookback: 1d}").load())

    again = only(lake.load())

    assert (again.rows_read, again.rows_written, again.null_cursors) == (101, 0, 1)
    assert again.checkpoint == first.checkpoint
