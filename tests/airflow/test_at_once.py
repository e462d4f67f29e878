"""Parallel loads of several tables, which are separate processes in Airflow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lakefeed.orchestration.ingest.load import load
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.project.sync import sync
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure

TWO = (
    "create table a (id int primary key)",
    "create table b (id int primary key)",
)
DECLARED = "a: {mode: full_refresh}\nb: {mode: full_refresh}"


def two_sources(lake: Lake) -> Lake:
    connection = f"connection: '${{{CONNECTION_VARIABLE}}}'"
    (lake.root / "sources.yaml").write_text(
        "version: 1\nsources:\n"
        f"  one: {{{connection}, tables: {{a: {{mode: full_refresh}}}}}}\n"
        f"  two: {{{connection}, tables: {{b: {{mode: full_refresh}}}}}}\n"
    )
    return lake


def columns(lake: Lake) -> dict[str, list[str]]:
    return {
        table.name: [column.name for column in table.catalogue.columns] if table.catalogue else []
        for table in lake.project.tables
    }


@pytest.mark.parametrize("names", [("shop__a", "shop__b"), ("one__a", "two__b")])
def test_a_load_keeps_what_a_parallel_load_has_written_to_the_catalogue(
    database: Database, lake: Lake, names: tuple[str, str]
) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED) if names[0] == "shop__a" else two_sources(lake)
    sync(lake.project)
    began_earlier = lake.project
    database.execute("alter table a add column new_a int", "alter table b add column new_b int")
    load(lake.project, LoadRequest(select=(names[0],)))

    load(began_earlier, LoadRequest(select=(names[1],)))

    assert columns(lake) == {"a": ["id", "new_a"], "b": ["id", "new_b"]}
    assert (
        "new_a"
        in (lake.root / f"dbt/models/staging/{names[0].split('__')[0]}")
        .joinpath(f"_{names[0].split('__')[0]}__models.yml")
        .read_text()
    )


def test_a_load_updates_the_catalogue_of_its_own_table_and_adds_new_ones(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    lake.declare('"*": {mode: full_refresh}')
    sync(lake.project)
    database.execute(
        "alter table a add column new_a int",
        "alter table b add column new_b int",
        "create table c (id int)",
    )

    load(lake.project, LoadRequest(select=("shop__a",)))

    assert columns(lake) == {"a": ["id", "new_a"], "b": ["id"], "c": ["id"]}


def test_a_dropped_member_of_a_wildcard_leaves_the_catalogue_with_its_own_load(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    lake.declare('"*": {mode: full_refresh}')
    sync(lake.project)
    database.execute("drop table b")

    lake.load("shop__a")
    assert list(columns(lake)) == ["a", "b"]
    assert "`public.b` doesn't exist in the database" in failure(lake.load("shop__b"))

    assert list(columns(lake)) == ["a"]


def test_four_parallel_processes_lose_nothing(database: Database, lake: Lake) -> None:
    names = [f"t{number}" for number in range(4)]
    database.execute(*[f"create table {name} (id int primary key)" for name in names])
    lake.declare("\n".join(f"{name}: {{mode: full_refresh}}" for name in names))
    sync(lake.project)
    database.execute(*[f"alter table {name} add column added int" for name in names])

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda name: lake.process("load", "--select", f"shop.{name}"), names))

    assert [process.returncode for process in ended] == [0] * 4, ended
    assert set(map(tuple, columns(lake).values())) == {("id", "added")}
