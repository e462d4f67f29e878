"""One project under live services, through a day of mishaps.

The services of the compose file are plain processes here, with its commands, variables and probes.
Starting them takes most of a minute, so they are started once: the tests run in their order, and
each goes on from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.airflow.api import DAG, Api, eventually
from tests.airflow.conftest import live_services
from tests.airflow.test_alerts import NOTIFIER
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database, new_lake

pytestmark = pytest.mark.faults

TABLES = "a: {cursor: at}\nb: {cursor: at}\nslow: {cursor: at}\nwhole: {mode: full_refresh}"
NAMES = ("a", "b", "slow", "whole")
MODELS = {name: f"select id, word from {{{{ ref('stg_shop__{name}') }}}}" for name in ("a", "b")}


@dataclass(frozen=True)
class Live:
    """The source, the lake and Airflow."""

    source: Database
    lake: Lake
    api: Api

    def assert_equal(self) -> None:
        """The marts are what a direct query of the source gives, and raw holds nothing twice."""
        for name in MODELS:
            query = f"select id, word from {name} order by id"
            assert self.lake.query(query.replace("from ", "from marts.of_")) == self.source.rows(
                query
            )
        for name in NAMES:
            versions = self.lake.raw(f"shop__{name}", 'id, word, "at"')
            assert len(versions) == len(set(versions))


@pytest.fixture(scope="module")
def live(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Four tables of two rows, two marts, and every run too long for its deadline.

    The run of the first interval has ended.
    """
    source = new_database(server_url)
    for table in NAMES:
        source.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one'), (2, 'two')",
        )
    lake = new_lake(tmp_path_factory.mktemp("live"))
    for table, sql in MODELS.items():
        (lake.root / f"dbt/models/marts/of_{table}.sql").write_text(sql)
    (lake.root / "airflow/dags/pagers.py").write_text(NOTIFIER)
    yaml = (lake.declare(TABLES).root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(
        "airflow:\n  schedule: '0 0 * * *'\n  start_date: 2026-09-01\n  retries: 0\n"
        f"  deadline: 1s\n  notify: {{pagers.FileNotifier: {{path: {lake.root}/told}}}}\n{yaml}"
    )
    (lake.root / ".env").write_text(f"{CONNECTION_VARIABLE}={source.url}\n")
    with live_services(lake, server_url, tmp_path_factory.mktemp("airflow")) as api:
        eventually(lambda: api.has_ended("scheduled"))
        yield Live(source, lake, api)


def test_the_first_interval_is_loaded_on_schedule(live: Live) -> None:
    assert set(live.api.task_states("scheduled").values()) == {"success"}
    live.assert_equal()


def test_an_asset_event_has_the_rows_files_and_checkpoint_of_its_load(live: Live) -> None:
    told = live.api.call("GET", "/api/v2/assets/events")["asset_events"]

    extras = {event["name"]: event["extra"] for event in told}
    assert extras.keys() == {f"shop__{name}" for name in NAMES}
    assert (extras["shop__a"]["rows"], extras["shop__a"]["files"]) == (2, 1)
    assert extras["shop__a"]["checkpoint"] and extras["shop__a"]["load_id"]


def test_a_late_run_calls_the_notifier(live: Live) -> None:
    told = live.lake.root / "told"
    eventually(told.exists)

    assert "of de_batch_pipeline didn't finish within 1s" in told.read_text()


def test_a_run_of_selected_tables_skips_the_others(live: Live) -> None:
    live.source.execute("insert into a values (3, 'three')", "insert into b values (3, 'three')")

    run = live.api.trigger(tables=["shop.a"])

    assert live.api.ended(run) == "success"
    states = live.api.tasks(run)
    assert (states["shop__a"], states["shop__b"]) == ("success", "skipped")
    assert live.lake.query("select count(*) from marts.of_b") == [(2,)]


def test_a_failed_table_holds_back_only_its_own_models(live: Live) -> None:
    live.source.execute("alter table b rename at to moved", "insert into a values (4, 'four')")

    run = live.api.trigger()
    assert live.api.ended(run) == "failed"

    states = live.api.tasks(run)
    assert (states["shop__a"], states["shop__b"], states["report"]) == (
        *("success", "failed", "failed"),
    )
    assert live.lake.query("select count(*) from marts.of_a") == [(4,)]
    assert live.lake.query("select count(*) from marts.of_b") == [(2,)]
    live.source.execute("alter table b rename moved to at")
    assert live.api.ended(live.api.trigger()) == "success"
    live.assert_equal()


def test_a_killed_task_leaves_no_lock_and_can_be_cleared(live: Live) -> None:
    live.source.execute("insert into slow select n, 'x' from generate_series(3, 1000) as n")
    with closing(live.source.connect()) as other:
        other.cursor().execute("lock table slow in access exclusive mode")
        run = live.api.trigger()
        task = f"{DAG}/dagRuns/{run}/taskInstances/shop__slow"
        waiting = "select count(*) from pg_locks where not granted"
        eventually(lambda: live.source.rows(waiting) != [(0,)])
        live.api.call("PATCH", task, {"new_state": "failed"})
        assert live.api.ended(run) == "failed"

    eventually(lambda: advisory_locks(live.source) == 0)
    # As the web page clears a task: together with its downstream tasks.
    body = {"task_ids": ["shop__slow"], "include_downstream": True, "only_failed": False}
    body |= {"dry_run": False, "dag_run_id": run, "reset_dag_runs": True}
    live.api.call("POST", f"{DAG}/clearTaskInstances", body)
    assert live.api.ended(run) == "success"
    assert live.lake.query("select count(*) from staging.stg_shop__slow") == [(1000,)]
    live.assert_equal()


def test_overlapping_runs_and_the_command_line_duplicate_no_row(live: Live) -> None:
    with ThreadPoolExecutor(1) as pool:
        live.source.execute("insert into a select n, 'y' from generate_series(100, 200) as n")
        runs = [live.api.trigger(), live.api.trigger()]
        typed = pool.submit(live.lake.command, "run", **{CONNECTION_VARIABLE: live.source.url})
        live.source.execute("insert into b select n, 'y' from generate_series(100, 200) as n")
        states = [live.api.ended(run) for run in runs]
        ended = typed.result()

    # A table that another process is loading is refused at once; the task's retries load it later.
    refused = "is already being loaded by another run"
    assert ended.returncode == 0 or refused in ended.stdout + ended.stderr
    assert states[-1] == "success"
    assert live.api.ended(live.api.trigger()) == "success"
    live.assert_equal()


@pytest.mark.at_night
def test_a_backfill_of_three_days_loads_only_those_and_moves_no_checkpoint(live: Live) -> None:
    before = checkpoints(live.lake)
    live.source.execute(
        *[
            f"insert into a values ({day + 1000}, 'late', '2026-10-0{day} 12:00Z')"
            for day in (1, 2, 3, 4)
        ]
    )
    body = {
        "dag_id": "de_batch_pipeline",
        "from_date": "2026-10-01T00:00:00Z",
        "to_date": "2026-10-03T00:00:00Z",
    }

    live.api.call("POST", "/api/v2/backfills", body)
    eventually(lambda: len(live.api.runs("backfill")) == 3 and live.api.has_ended("backfill"), 400)

    assert live.api.task_states("backfill")["shop__whole"] == "skipped"
    late = live.lake.query("select id from marts.of_a where word = 'late' order by id")
    assert late == [(1001,), (1002,), (1003,)]
    assert checkpoints(live.lake) == before
    assert live.api.ended(live.api.trigger(start="2026-10-04", end="2026-10-05")) == "success"
    live.assert_equal()


def test_the_web_password_is_printed_once_and_no_secret_is_ever_printed(live: Live) -> None:
    home = live.api.home
    made = [path.read_text() for path in (home / "secrets").iterdir()]
    logged = "".join(path.read_text() for path in (home / "logs").glob("*.log"))

    assert [secret for secret in made if secret in logged] == []
    assert logged.count(live.api.password) == 1


def advisory_locks(source: Database) -> int:
    return int(source.rows("select count(*) from pg_locks where locktype = 'advisory'")[0][0])


def checkpoints(lake: Lake) -> list[str | None]:
    from lakefeed.orchestration.inspect.status import checkpoint_of_table

    return [checkpoint_of_table(lake.project, table) for table in lake.project.tables]
