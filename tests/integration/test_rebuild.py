"""`lakefeed rebuild` builds and tests an empty file, then replaces the warehouse with it."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from lakefeed.orchestration.build.rebuild import rebuild
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import Database, Lake

pytestmark = [pytest.mark.builds, pytest.mark.on_ducklake(at_night=True)]

T = (
    "create table t (id int primary key, word text, at timestamptz default now())",
    "insert into t values (1, 'a')",
)
STAGED = "select id, word from staging.stg_shop__t order by id"


@pytest.fixture
def grown(database: Database, lake: Lake) -> Lake:
    """Two loads of a table, built."""
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute("insert into t values (2, 'b')")
    lake.run()
    return lake


def published(lake: Lake) -> Any:
    """What differs where another version was published."""
    warehouse = warehouse_of(lake.project)
    return warehouse.current() if lake.warehouse else lake.project.warehouse.read_bytes()


def test_relations_that_are_no_longer_built_are_gone(grown: Lake) -> None:
    mart = grown.root / "dbt/models/marts/once.sql"
    mart.write_text("select 1 as n")
    assert grown.command("build").returncode == 0
    mart.unlink()

    ended = grown.command("rebuild")

    assert ended.returncode == 0, ended
    assert f"warehouse: {warehouse_of(grown.project).place}" in ended.stdout
    assert grown.query("select table_name from information_schema.tables where table_schema in"
                       " ('staging', 'marts')") == [("stg_shop__t",)]  # fmt: skip
    assert grown.query(STAGED) == [(1, "a"), (2, "b")]
    assert list((grown.root / "data").glob(".*building")) == []


@pytest.mark.on_store
def test_a_rebuild_that_fails_its_tests_replaces_nothing(grown: Lake) -> None:
    (grown.root / "dbt/tests").mkdir()
    (grown.root / "dbt/tests/wrong.sql").write_text("select * from {{ ref('stg_shop__t') }}")
    before = published(grown)

    ended = grown.command("rebuild")

    assert ended.returncode == 1
    assert "wrong: " in ended.stdout
    assert "the warehouse was left as it was" in ended.stdout
    assert published(grown) == before


@pytest.mark.on_store(at_night=True)
def test_as_of_a_load_or_time_leaves_out_later_loads(grown: Lake) -> None:
    first, second = grown.query(
        "select load_id, snapshot_at from _lakefeed.staged_loads order by snapshot_at"
    )
    now = published(grown)

    for as_of, rows in ((first[0], 1), (first[1], 1), (second[0], 2)):
        report = rebuild(grown.project, str(as_of), grown.root / "then.duckdb")
        assert not report.build.failures
        with duckdb.connect(str(report.path), read_only=True) as session:
            assert len(session.execute(STAGED).fetchall()) == rows
    assert published(grown) == now


@pytest.mark.by_day(1)
@pytest.mark.on_file
@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("yesterday", "neither a load id nor a time"),
        ("1234.5", "no such load"),
        ("2001-01-01", "nothing had been loaded by then"),
    ],
)
def test_reports_an_invalid_moment(grown: Lake, as_of: str, message: str) -> None:
    ended = grown.command("rebuild", "--as-of", as_of)

    assert ended.returncode == 2
    assert f"error: --as-of {as_of}: {message}" in ended.stderr
