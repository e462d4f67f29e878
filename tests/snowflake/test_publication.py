"""What readers of a Snowflake see, whatever builds, publishes, rolls back or is killed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import Overtaken, Refused
from lakefeed.transformation.targets.snowflake import Snowflake
from lakefeed.transformation.warehouse.base import lease
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import Relation
from lakefeed.transformation.warehouse.clones import candidate as candidates
from lakefeed.transformation.warehouse.clones.candidate import CloneCandidate
from lakefeed.transformation.warehouse.declared import warehouse_of
from lakefeed.transformation.warehouse.snowflake.warehouse_snowflake import WarehouseSnowflake
from tests.snowflake.conftest import Sql, declared

pytestmark = [pytest.mark.clouds, pytest.mark.timeout(600)]


@pytest.fixture
def project(account: Snowflake, tmp_path: Path) -> Project:
    (tmp_path / "sources.yaml").write_text(
        "version: 1\nraw: {url: 's3://bucket/raw'}\n"
        f"warehouse: {declared(account).removesuffix('}')}, keep: 1}}\n"
        "sources: {shop: {connection: '${SHOP_URL}', tables: {orders: {cursor: at}}}}\n"
    )
    models = {"marts": ("fct", "doubled", "begun", "begun_view"), "staging": ("stg",)}
    nodes = [node(schema, name) for schema, names in models.items() for name in names]
    (tmp_path / "dbt" / "target").mkdir(parents=True)
    (tmp_path / "dbt" / "target" / "manifest.json").write_text(
        json.dumps({"nodes": {found["unique_id"]: found for found in nodes}})
    )
    return open_project(tmp_path)


def node(schema: str, name: str) -> dict[str, Any]:
    """A model as dbt's manifest has it."""
    return {
        "name": name,
        "unique_id": f"model.shop.{name}",
        "resource_type": "model",
        "schema": schema,
        "alias": name,
        "description": "",
        "original_file_path": f"models/{schema}/{name}.sql",
        "depends_on": {"nodes": []},
        "config": {"enabled": True, "materialized": "table"},
    }


@pytest.fixture
def warehouse(project: Project) -> WarehouseSnowflake:
    found = warehouse_of(project)
    assert isinstance(found, WarehouseSnowflake)
    return found


def build(sql: Sql, number: int, *, kind: str = "int") -> None:
    """What dbt does in a build: a mart, a view of it, and a staging table that grows."""
    for schema in ("marts", "staging"):
        sql(f"create schema if not exists {schema}")
    sql(f"create or replace table marts.fct as select cast({number} as {kind}) as n")
    sql("create or replace view marts.doubled as select 2 * n as m from marts.fct")
    if number == 1:
        sql("create table staging.stg as select 1 as id, 1 as _staged_batch")
    else:
        sql(f"insert into staging.stg values ({number}, {number})")


def publish(warehouse: WarehouseSnowflake, sql: Sql, number: int, **build_as: str) -> None:
    with warehouse.lock():
        candidate = warehouse.start(f"build {number}")
        build(sql, number, **build_as)
        finish(candidate)


def finish(candidate: CloneCandidate) -> None:
    candidate.write_state(PublicationState().published(dt.datetime.now(dt.UTC)))
    candidate.mark_whole()
    candidate.publish()


def seen(sql: Sql) -> tuple[int, int, int]:
    """What readers see: the mart, the view of it, and how many rows staging has."""
    ((n,),), ((m,),) = sql("select n from public.fct"), sql("select m from public.doubled")
    ((rows,),) = sql("select count(*) from public.stg")
    return int(n), int(m), int(rows)


def names_in(sql: Sql, schema: str) -> set[str]:
    """The tables and views of a schema."""
    return {
        name
        for kind in ("tables", "views")
        for (name,) in sql(
            f"select table_name from information_schema.{kind} where table_schema = '{schema}'"
        )
    }


def test_readers_see_a_build_once_it_is_published_and_not_before(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)

    with warehouse.lock():
        candidate = warehouse.start("build 2")
        build(sql, 2)
        assert seen(sql) == (1, 2, 1)
        assert warehouse.published.row_counts([("staging", "stg")]) == {("staging", "stg"): 1}
        assert warehouse.published.query("select m from marts.doubled") == (["m"], [(2,)])
        assert warehouse.published.generated_models() == {"stg"}
        finish(candidate)

    assert seen(sql) == (2, 4, 2)
    assert warehouse.published.query("select n from marts.fct") == (["n"], [(2,)])
    assert warehouse.published.state().published_at is not None


def test_a_build_goes_on_from_what_is_published_whatever_a_killed_one_left(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)
    with warehouse.lock():
        warehouse.start("killed")
        build(sql, 2, kind="number(20, 2)")
        sql("create table marts.begun as select 1 as a")
        sql("create view marts.begun_view as select a from marts.begun")

    with warehouse.lock():
        warehouse.start("next")

        assert sql("select n from marts.fct") == [(1,)]
        assert sql("select id from staging.stg") == [(1,)]
        assert names_in(sql, "MARTS") == {"FCT", "DOUBLED"}
    assert seen(sql) == (1, 2, 1)


def test_a_publication_that_is_killed_before_the_swap_is_finished_by_the_next_build(
    warehouse: WarehouseSnowflake, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(warehouse, sql, 1)
    with monkeypatch.context() as killed:
        killed.setattr(candidates, "finish_publication", _dies)
        with pytest.raises(KeyboardInterrupt):
            publish(warehouse, sql, 2)
    assert seen(sql) == (1, 2, 1)

    with warehouse.lock():
        warehouse.start("next")

    assert seen(sql) == (2, 4, 2)


def test_a_rollback_shows_the_version_before_and_the_next_build_starts_from_it(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)
    publish(warehouse, sql, 2)

    with warehouse.lock():
        before = warehouse.version_before(warehouse.current())
        assert before is not None
        warehouse.return_to(before, warehouse.current())
    warehouse.note_rollback("by hand")

    assert seen(sql) == (1, 2, 1)
    assert warehouse.rollback_note() == ("by hand", warehouse.shown)
    with warehouse.lock():
        warehouse.start("next")
        assert sql("select id from staging.stg") == [(1,)]


def test_clones_go_with_the_last_version_that_has_them(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    for number in (1, 2, 3):
        publish(warehouse, sql, number)

    def held() -> int:
        ((number,),) = sql(
            "select count(*) from information_schema.schemata "
            "where schema_name like '\\\\_LAKEFEED\\\\_VERSION%' escape '\\\\'"
        )
        return int(number)

    assert held() == 3
    warehouse.remove_unneeded()
    assert held() == 3, "a reader may still be at them for a day"
    with warehouse.lock():
        assert len(warehouse.forget_versions()) == 1
    assert held() == 1
    assert seen(sql) == (3, 6, 3)


def test_a_table_of_others_in_public_stops_a_publication_and_stays(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)
    sql("create table public.theirs as select 1 as a")

    with pytest.raises(Refused, match=r"PUBLIC of .* has theirs, which Lakefeed didn't make"):
        publish(warehouse, sql, 2)

    assert sql("select a from public.theirs") == [(1,)]
    assert seen(sql) == (1, 2, 1)


def test_tables_of_others_beside_models_are_neither_dropped_nor_published(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)
    sql("create table marts.theirs as select 1 as a")

    publish(warehouse, sql, 2)

    assert sql("select a from marts.theirs") == [(1,)]
    assert "THEIRS" not in names_in(sql, "PUBLIC")


def test_a_first_build_refuses_tables_of_others_with_the_names_of_models(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    sql("create schema marts")
    sql("create table marts.fct as select 'theirs' as n")

    with warehouse.lock(), pytest.raises(Refused, match=r"didn't make: marts\.fct"):
        warehouse.start("first")

    assert sql("select n from marts.fct") == [("theirs",)]


def test_a_model_that_is_dropped_leaves_what_readers_see_with_the_next_version(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)
    with warehouse.lock():
        candidate = warehouse.start("without the mart")
        candidate.drop([Relation("marts", "doubled", "view"), Relation("marts", "fct", "table")])
        finish(candidate)

    assert names_in(sql, "PUBLIC").isdisjoint({"FCT", "DOUBLED"})
    with warehouse.lock():
        before = warehouse.version_before(warehouse.current())
        assert before is not None
        warehouse.return_to(before, warehouse.current())
    assert seen(sql) == (1, 2, 1)


def test_a_build_that_another_has_overtaken_publishes_nothing(
    warehouse: WarehouseSnowflake, sql: Sql
) -> None:
    publish(warehouse, sql, 1)
    with warehouse.lock():
        overtaken = warehouse.start("first")
        warehouse.start("second")

        with pytest.raises(Refused, match="another run has started to build"):
            finish(overtaken)
        with pytest.raises(Overtaken, match="another run has started to build"):
            warehouse.started("first")
    assert seen(sql) == (1, 2, 1)


def test_the_lock_says_who_holds_it_and_a_second_build_waits(
    warehouse: WarehouseSnowflake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_WAIT_SECONDS", 0)
    assert warehouse.lock_holder() == ""

    with warehouse.lock():
        assert warehouse.lock_holder().startswith("process ")
        with monkeypatch.context() as others:
            others.setattr(lease, "_held", {})
            with pytest.raises(Refused, match="another build has held the lock"), warehouse.lock():
                pass

    assert warehouse.lock_holder() == ""


def test_what_is_built_apart_is_a_clone_and_goes_with_a_prune(
    warehouse: WarehouseSnowflake, sql: Sql, tmp_path: Path
) -> None:
    publish(warehouse, sql, 1)
    apart = warehouse.apart(tmp_path / "apart", dt.datetime(2026, 11, 23, 20, 15, tzinfo=dt.UTC))

    apart.fill()

    assert sql("select n from as_of_20261123t201500_marts.fct") == [(1,)]
    assert sql("select m from as_of_20261123t201500_marts.doubled") == [(2,)]
    assert warehouse.forget_apart() == ["the schemas as_of_20261123t201500_*"]
    assert names_in(sql, "AS_OF_20261123T201500_MARTS") == set()


def _dies(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
