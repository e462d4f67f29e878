"""Runs on an emulator of BigQuery: published, tested, held back, rolled back, rebuilt, pruned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakefeed.orchestration.build.rollback import resume, roll_back
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import Database, Lake

pytestmark = [pytest.mark.clouds, pytest.mark.timeout(1800)]

Query = Callable[[str], list[tuple[Any, ...]]]

READ = "select id, v from public.stg_shop__t order by id"


@pytest.fixture
def shop(lake: Lake, database: Database) -> Lake:
    """A table, a mart and a view of it, published."""
    database.execute(
        "create table t (id int primary key, v text, at timestamptz not null default now())",
        "insert into t values (1, 'a'), (2, 'b')",
    )
    lake.declare("t: {cursor: at}")
    marts = lake.root / "dbt/models/marts"
    marts.mkdir(parents=True, exist_ok=True)
    (marts / "counted.sql").write_text("select count(*) as n from {{ ref('stg_shop__t') }}\n")
    (marts / "doubled.sql").write_text(
        "{{ config(materialized='view') }} select 2 * n as n from {{ ref('counted') }}\n"
    )
    done = lake.run()
    assert done.exit_code == 0, (done.build_error, done.build and done.build.failures)
    return lake


def test_readers_see_versions_and_a_rollback_shows_the_one_before(
    shop: Lake, database: Database, query: Query
) -> None:
    assert query(READ) == [(1, "a"), (2, "b")]
    assert query("select n from public.doubled") == [(4,)]

    database.execute("insert into t values (3, 'c', clock_timestamp())")
    assert shop.run().exit_code == 0
    assert query(READ) == [(1, "a"), (2, "b"), (3, "c")]
    assert query("select n from public.doubled") == [(6,)]
    assert shop.query("select n from marts.doubled") == [(6,)]

    roll_back(shop.project)
    assert query(READ) == [(1, "a"), (2, "b")]
    assert query("select n from public.doubled") == [(4,)]

    resume(shop.project)
    database.execute("update t set v = 'z', at = clock_timestamp() where id = 1")
    assert shop.run().exit_code == 0
    assert query(READ) == [(1, "z"), (2, "b"), (3, "c")]
    assert query("select count(*) from `_lakefeed_loading`.INFORMATION_SCHEMA.TABLES") == [(0,)]


def test_the_check_names_nothing_where_all_can_be_done(shop: Lake) -> None:
    found = warehouse_of(shop.project).inspect()

    assert [str(error) for error in found.lacks] == []
    assert found.engine == "BigQuery"
