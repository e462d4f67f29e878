"""One project over five runs of `airflow dags test`: real Airflow, PostgreSQL, dlt and dbt.

A run takes many seconds, so the runs are made once, and each test looks at one thing about them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakefeed.orchestration.reports.run_history import read_runs
from tests.airflow.conftest import AirflowOf, airflow_of
from tests.airflow.test_alerts import NOTIFIER
from tests.conftest import CONNECTION_VARIABLE, Lake, new_database, new_lake

pytestmark = [pytest.mark.faults, pytest.mark.at_night]

PASSWORD = "correct-horse-battery"

TABLES = """
a: {cursor: at}
b: {cursor: at}
c: {mode: full_refresh}
"""
UNREACHABLE = """
  gone:
    connection: ${GONE_URL}
    tables: {z: {mode: full_refresh}}
"""


@dataclass(frozen=True)
class Run:
    """One run: how the process ended, and what it left in the warehouse."""

    process: subprocess.CompletedProcess[str]
    rows: dict[str, list[tuple[object, ...]]]
    dbt_ran_at: int

    @property
    def output(self) -> str:
        return self.process.stdout + self.process.stderr


@dataclass(frozen=True)
class Story:
    """The runs, in their order."""

    airflow: AirflowOf
    first: Run
    changed: Run
    nothing_new: Run
    broken: Run


@pytest.fixture(scope="module")
def story(
    server_url: str, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """Two rows; a change; nothing; then one table dropped, one server gone, one row more."""
    database = new_database(server_url)
    lake = new_lake(tmp_path_factory.mktemp("story"))
    for table in "ab":
        (lake.root / f"dbt/models/marts/of_{table}.sql").write_text(
            f"select id, word from {{{{ ref('stg_shop__{table}') }}}}"
        )
    lake.declare(TABLES, head="")
    airflow = airflow_of(lake, migrated_home, tmp_path_factory)
    environment = {
        CONNECTION_VARIABLE: database.url.replace("postgres:@", f"postgres:{PASSWORD}@"),
        "GONE_URL": f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nowhere",
    }
    database.execute(
        *[f"create table {t} (id int primary key, word text, at timestamptz default now())"
          for t in "abc"],
        *[f"insert into {t} values (1, 'one'), (2, 'two')" for t in "abc"],
    )  # fmt: skip
    assert PASSWORD in environment[CONNECTION_VARIABLE]

    first = _run(airflow, environment)
    database.execute(
        "update a set word = 'zwei', at = now() where id = 2", "insert into a values (3, 'three')"
    )
    changed = _run(airflow, environment)
    nothing_new = _run(airflow, environment)
    database.execute("drop table b", "insert into a values (4, 'four')")
    _break(lake)
    broken = _run(airflow, environment)
    yield Story(airflow, first, changed, nothing_new, broken)


def _break(lake: Lake) -> None:
    yaml = (lake.root / "sources.yaml").read_text()
    (lake.root / "airflow/dags/pagers.py").write_text(NOTIFIER)
    airflow = f"{{retries: 0, notify: {{pagers.FileNotifier: {{path: {lake.root}/told}}}}}}"
    (lake.root / "sources.yaml").write_text(f"airflow: {airflow}\n{yaml}{UNREACHABLE}")


def _run(airflow: AirflowOf, environment: dict[str, str]) -> Run:
    process = airflow.run(**environment)
    rows = {
        model: airflow.lake.query(f"select id, word from marts.of_{model} order by id")
        for model in "ab"
    }
    results = airflow.lake.root / "dbt/target/run_results.json"
    return Run(process, rows, results.stat().st_mtime_ns)


def test_a_run_loads_the_source_into_the_marts(story: Story) -> None:
    assert story.first.process.returncode == 0, story.first.output
    assert story.first.rows == {t: [(1, "one"), (2, "two")] for t in "ab"}


def test_the_next_run_loads_the_changes(story: Story) -> None:
    assert story.changed.process.returncode == 0, story.changed.output
    assert story.changed.rows["a"] == [(1, "one"), (2, "zwei"), (3, "three")]
    assert story.changed.rows["b"] == story.first.rows["b"]
    assert "✓ model of_a: success" in story.changed.output
    assert "model of_b" not in story.changed.output


def test_without_new_rows_dbt_is_not_started_and_the_run_succeeds(story: Story) -> None:
    assert story.nothing_new.process.returncode == 0
    assert "nothing new; dbt wasn't started" in story.nothing_new.output
    assert story.nothing_new.dbt_ran_at == story.changed.dbt_ran_at


def test_a_failed_table_fails_the_run_and_leaves_the_others_loading(story: Story) -> None:
    assert story.broken.process.returncode == 1
    assert "`public.b` doesn't exist in the database" in story.broken.output
    assert "can't connect to `gone`" in story.broken.output
    assert "failed: shop__b, gone__z" in story.broken.output
    assert story.broken.rows["a"] == [*story.changed.rows["a"], (4, "four")]
    assert story.broken.rows["b"] == story.changed.rows["b"]


def test_a_failed_run_calls_the_declared_notifier(story: Story) -> None:
    told = (story.airflow.lake.root / "told").read_text()

    assert len(told.splitlines()) == 1
    assert "failed: shop__b, gone__z" in told


def test_task_logs_read_like_the_command_line(story: Story) -> None:
    assert "✓ shop.a                       2 rows in " in story.changed.output
    assert "· shop.b                       nothing new (2 read again)" in story.changed.output
    assert "loaded 1 of 3 tables; dbt built " in story.changed.output
    assert re.search(r"shop\.a +3 +2 +2 ", story.changed.output), "read, written, new in staging"
    assert "skipped: nothing new; dbt wasn't started" in story.nothing_new.output
    assert "nothing new in 3 tables; dbt was not started" in story.nothing_new.output


def test_each_run_is_kept_as_one_for_lakefeed_docs(story: Story) -> None:
    runs = read_runs(story.airflow.lake.root / "data")

    assert [(run.command, run.exit_code, run.rows) for run in runs] == [
        *(("airflow", 0, 6), ("airflow", 0, 2), ("airflow", 0, 0), ("airflow", 1, 1)),
    ]
    built = [[node.name for node in run.nodes or () if not node.is_test] for run in runs]
    assert built[1:] == [["stg_shop__a", "of_a"], [], ["stg_shop__a", "of_a"]]
    assert [table.name for table in runs[-1].tables if table.error] == ["shop.b", "gone.z"]
    assert all(run.published_at for run in (runs[0], runs[1], runs[3]))


def test_the_password_is_nowhere(story: Story) -> None:
    runs = (story.first, story.changed, story.nothing_new, story.broken)
    assert not [run for run in runs if PASSWORD in run.output]

    written = [*story.airflow.lake.root.rglob("*"), *story.airflow.home.rglob("*")]
    holding = [p for p in written if p.is_file() and PASSWORD.encode() in p.read_bytes()]
    assert holding == []
