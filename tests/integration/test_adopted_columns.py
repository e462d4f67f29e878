"""Columns that a load found on one machine, and the machine that builds."""

from __future__ import annotations

import pytest

from lakefeed.declaration.catalogue import Catalogue
from lakefeed.orchestration.project.catalogue_sync import adopt_loaded
from tests.conftest import Database, Lake, only


@pytest.fixture
def loaded(database: Database, lake: Lake) -> tuple[Catalogue, dict[str, str]]:
    """What the first load of a table hands over."""
    database.execute(
        "create table t (id int primary key, at timestamptz default clock_timestamp())",
        "insert into t values (1)",
    )
    report = lake.declare("t: {cursor: at}").load()
    return lake.project.catalogue, {"shop__t": str(only(report).load_id)}


def test_columns_are_adopted_where_nobody_knows_the_table(
    loaded: tuple[Catalogue, dict[str, str]], lake: Lake
) -> None:
    (lake.root / "sources.lock.yaml").unlink()

    adopt_loaded(lake.project, *loaded)

    assert lake.project.catalogue == loaded[0]


def test_columns_of_the_newest_load_replace_those_that_are_known(
    database: Database, loaded: tuple[Catalogue, dict[str, str]], lake: Lake
) -> None:
    lock = lake.root / "sources.lock.yaml"
    before = lock.read_text()
    database.execute("alter table t add column word text", "insert into t values (2)")
    newest = {"shop__t": str(only(lake.load()).load_id)}
    found = lake.project.catalogue
    lock.write_text(before)

    adopt_loaded(lake.project, found, newest)

    assert lake.project.catalogue == found


def test_columns_of_an_earlier_load_are_not_brought_back(
    database: Database, loaded: tuple[Catalogue, dict[str, str]], lake: Lake
) -> None:
    database.execute("alter table t add column word text", "insert into t values (2)")
    lake.load()
    found = lake.project.catalogue
    assert found != loaded[0]

    adopt_loaded(lake.project, *loaded)

    assert lake.project.catalogue == found
