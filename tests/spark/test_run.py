"""Runs, failed builds and rebuilds of a project whose warehouse is on Spark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Database, Lake

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]
STAGED = "select id, word from public.stg_shop__t order by id"
VERSIONS = "select id, word, is_current from public.hst_shop__t order by id, valid_from"


@pytest.fixture
def published(database: Database, lake: Lake) -> Lake:
    """A table with a changed row, staged and with its history, published twice."""
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default now())",
        "insert into t values (1, 'one'), (2, 'two')",
    )
    lake.declare("t: {cursor: at, history: true}").run()
    database.execute("update t set word = 'new', at = now() where id = 1")
    report = lake.run()
    assert report.exit_code == 0, report.build.failures if report.build else report.failures
    return lake


def test_a_rebuild_publishes_every_table_as_it_grew(published: Lake, spark: Rows) -> None:
    grown = spark(STAGED), spark(VERSIONS)
    names = {name for _, name, *_ in spark("show views in public")}

    ended = published.command("rebuild")

    assert ended.returncode == 0, ended
    assert (spark(STAGED), spark(VERSIONS)) == grown
    assert {name for _, name, *_ in spark("show views in public")} == names
    assert published.run().build is None, "nothing is left to build"


@pytest.mark.at_night
def test_a_failed_test_holds_its_model_back_and_readers_keep_its_rows(
    database: Database, published: Lake, spark: Rows
) -> None:
    (published.root / "dbt/tests").mkdir(exist_ok=True)
    bad = published.root / "dbt/tests/bad.sql"
    bad.write_text("select 1 from {{ ref('stg_shop__t') }} where word = 'bad'")
    database.execute("insert into t values (3, 'bad')")

    assert published.run().exit_code != 0
    assert spark(STAGED) == [(1, "new"), (2, "two")]

    bad.unlink()
    assert published.run().exit_code == 0
    assert spark(STAGED) == [(1, "new"), (2, "two"), (3, "bad")]
