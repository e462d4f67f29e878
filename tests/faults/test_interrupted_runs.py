"""Ctrl-C while a run builds or waits to: readers keep what they had, and the next run is right."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import Database, Lake, copy_shop_project
from tests.integration.test_interruption import assert_interrupted
from tests.started import start

pytestmark = pytest.mark.faults

T = (
    "create table t (id int primary key, note text, at timestamptz default clock_timestamp())",
    "insert into t values (1, 'a'), (2, 'b')",
)
QUICK = "select count(*) as n from {{ ref('stg_shop__t') }}"
# Hours of work, for which it has no rows to wait for.
LONG = (
    f"{QUICK} union all select count(*) from range(10000000) as a, range(10000000) as b "
    "where a.range + b.range = 7"
)


@pytest.fixture
def published(database: Database, lake: Lake) -> Lake:
    """A lake with a mart, published once, and a row in the source that it doesn't have yet."""
    database.execute(*T)
    write_mart(lake, QUICK)
    lake.declare("t: {cursor: at}").run()
    database.execute("insert into t values (3, 'c')")
    return lake


def write_mart(lake: Lake, sql: str) -> None:
    mart = lake.root / "dbt/models/marts/counted.sql"
    mart.parent.mkdir(parents=True, exist_ok=True)
    mart.write_text(sql)


def dbt_has_begun(lake: Lake, model: str) -> bool:
    log: Path = lake.root / "dbt/logs/dbt.log"
    return log.exists() and f"START sql table model marts.{model}" in log.read_text()


def assert_next_run_is_right(lake: Lake) -> None:
    assert lake.query("select n from marts.counted") == [(2,)]
    write_mart(lake, QUICK)
    assert lake.run().exit_code == 0
    assert lake.query("select n from marts.counted") == [(3,)]


@pytest.mark.parametrize("command", ["run", "build", "rebuild"])
def test_a_build_publishes_nothing(published: Lake, command: str) -> None:
    if command != "run":
        published.load()
    write_mart(published, LONG)
    (published.root / "dbt/logs/dbt.log").unlink()
    building = start(published, command).until(lambda: dbt_has_begun(published, "counted"))

    ended = building.end_by(signal.SIGINT)

    assert_interrupted(ended)
    assert "interrupted; nothing was published" in ended.told
    assert_next_run_is_right(published)


def test_a_run_that_waits_for_another_build_says_so_as_json(published: Lake) -> None:
    with FileLock(published.root / "data/locks/warehouse.lock"):
        waiting = start(published, "run", "--json")
        waiting.until(lambda: len(published.raw("shop__t")) == 3)
        ended = waiting.end_by(signal.SIGINT)

    assert_interrupted(ended)
    assert '"what": "interrupted; nothing was published"' in ended.told
    assert '"exit_code": 130' in ended.told
    assert_next_run_is_right(published)


def test_the_lab_leaves_no_server_behind(database: Database, lake: Lake) -> None:
    """It is a process of its own, which no terminal ends."""
    database.execute(*T)
    lab = start(lake.declare("t: {cursor: at}"), "lab", "--steps", "9")

    assert_interrupted(
        lab.until(lambda: has_loaded(lake.root / "data/lab/project")).end_by(signal.SIGINT)
    )

    assert not (lake.root / "data/lab/postgres/postmaster.pid").exists()


def test_the_demo_leaves_no_server_behind(tmp_path: Path) -> None:
    shop = Lake(copy_shop_project(tmp_path))
    demo = start(shop, "demo").until(lambda: has_loaded(shop.root))

    assert_interrupted(demo.end_by(signal.SIGINT))

    assert not (shop.root / "data/postgres/postmaster.pid").exists()


def has_loaded(project: Path) -> bool:
    """Whether a load has committed something."""
    return any((project / "data/raw").glob("*/_dlt_loads"))
